package object

import (
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// accountItems are Casdoor's account items that concern us, with the rule of who may see and who may change them.
const accountItems = `Organization:Public:Admin
ID:Public:Immutable
Name:Public:Admin
Display name:Public:Self
First name:Public:Self
Last name:Public:Self
Avatar:Public:Self
User type:Public:Admin
Password:Self:Self
Email:Public:Self
Phone:Public:Self
Country code:Public:Admin
Country/Region:Public:Self
Location:Public:Self
Address:Public:Self
Affiliation:Public:Self
Title:Public:Self
Homepage:Public:Self
Bio:Public:Self
Tag:Public:Admin
Language:Public:Self
Gender:Public:Self
Birthday:Public:Self
Education:Public:Self
Score:Public:Admin
Karma:Public:Admin
Ranking:Public:Admin
Signup application:Public:Admin
Roles:Public:Immutable
Permissions:Public:Immutable
Groups:Public:Admin
3rd-party logins:Self:Self
Properties:Admin:Admin
Is online:Admin:Admin
Is admin:Admin:Admin
Is forbidden:Admin:Admin
Is deleted:Admin:Admin`

// defaultAccountItems are the account items of an organization that was made without any.
func defaultAccountItems() []*sdk.AccountItem {
	var items []*sdk.AccountItem
	for line := range strings.Lines(accountItems) {
		part := strings.Split(strings.TrimSpace(line), ":")
		items = append(items, &sdk.AccountItem{Name: part[0], Visible: true, ViewRule: part[1], ModifyRule: part[2]})
	}
	return items
}
