package fakecasdoor

import (
	"encoding/json"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Rows are the settings of a Casdoor. The first of each kind is the shop's.
type Rows struct {
	Organizations []*sdk.Organization
	Applications  []*sdk.Application
	Providers     []*sdk.Provider
	Certs         []*sdk.Cert
}

// Change changes the settings of a running server, as Casdoor's admin pages do. The function must keep no row.
func (s *Server) Change(change func(*Rows)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.rows)
}

func newRows(keyBits int, now time.Time) Rows {
	created := now.UTC().Format(time.RFC3339)
	return Rows{
		Organizations: []*sdk.Organization{{
			Owner: "admin", Name: Organization, CreatedTime: created, DisplayName: "Shop", PasswordType: "bcrypt",
			Languages: []string{"en", "zh"}, Tags: []string{}, AccountItems: accountItems(),
		}},
		Applications: []*sdk.Application{{
			Owner: "admin", Name: Application, CreatedTime: created, DisplayName: "Shop", Organization: Organization,
			Cert: Cert, EnablePassword: true, EnableSignUp: true,
			Providers:     []*sdk.ProviderItem{{Name: Provider, CanSignUp: true, CanSignIn: true}},
			SigninMethods: []*sdk.SigninMethod{{Name: "Password", DisplayName: "Password", Rule: "All"}},
			SignupItems:   []*sdk.SignupItem{{Name: "ID", Required: true, Rule: "Random"}},
			SigninItems:   []*sdk.SigninItem{{Name: "Back button", Visible: true, Rule: "None"}},
			GrantTypes:    []string{"authorization_code", "client_credentials", "refresh_token"},
			Tags:          []string{},
			ClientId:      ClientID,
			ClientSecret:  ClientSecret,
			RedirectUris:  []string{"http://localhost:9000/callback"},
			TokenFormat:   "JWT",
			TokenFields:   []string{},
			ExpireInHours: 168, RefreshExpireInHours: 168,
			FailedSigninLimit: 5, FailedSigninFrozenTime: 15,
		}},
		Providers: []*sdk.Provider{{
			Owner: "admin", Name: Provider, DisplayName: "WeChat Mini Program", Category: "OAuth",
			Type: "WeChatMiniProgram", ClientId: AppID, ClientSecret: "appsecret0000000000000000000000a",
		}},
		Certs: []*sdk.Cert{newCert(keyBits, now)},
	}
}

func admin() sdk.User {
	return sdk.User{
		Owner: Organization, Name: AdminName, Id: AdminName + "-id", Type: "normal-user", DisplayName: "Boss",
		SignupApplication: Application, IsAdmin: true,
	}
}

// accountItems are those of Casdoor's default that decide what may be changed here (object/init.go).
func accountItems() []*sdk.AccountItem {
	items := []*sdk.AccountItem{}
	for _, line := range []string{
		"Organization Public Admin", "Name Public Admin", "ID Public Immutable", "Display name Public Self",
		"Avatar Public Self", "User type Public Admin", "Tag Public Admin", "Score Public Self",
		"Signup application Public Admin", "Properties Admin Admin", "Is admin Admin Admin",
		"Is forbidden Admin Admin", "Is deleted Admin Admin",
	} {
		words := strings.Fields(line)
		n := len(words) - 2
		items = append(items, &sdk.AccountItem{
			Name: strings.Join(words[:n], " "), Visible: true, ViewRule: words[n], ModifyRule: words[n+1],
		})
	}
	return items
}

// find returns the row with an id "owner/name". The caller holds Server.mu.
func find[T any](rows []*T, id string) (*T, bool) {
	for _, row := range rows {
		if rowID(row) == id {
			return row, true
		}
	}
	return nil, false
}

func rowID(row any) string {
	switch row := row.(type) {
	case *sdk.Organization:
		return row.Owner + "/" + row.Name
	case *sdk.Application:
		return row.Owner + "/" + row.Name
	case *sdk.Provider:
		return row.Owner + "/" + row.Name
	case *sdk.Cert:
		return row.Owner + "/" + row.Name
	}
	return ""
}

// client returns a copy of the application with a client id.
func (s *Server) client(id string) (sdk.Application, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range s.rows.Applications {
		if app.ClientId == id {
			return clone(*app), true
		}
	}
	return sdk.Application{}, false
}

// clone copies a row with all that it points at.
func clone[T any](row T) T { return convert[T](row) }

// convert turns a row into another form of the same JSON.
func convert[T any](row any) T {
	var out T
	text, err := json.Marshal(row)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(err) // rows are made of JSON
	}
	return out
}
