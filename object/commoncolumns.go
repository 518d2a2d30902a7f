package object

import (
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/provider"
)

// commonColumns are those of a user's row that are filled for many users. Each column that is read costs, and most are
// empty for nearly everybody: list ends with a flag that tells whether one of those that are left out is not. Then the
// whole row has to be read.
type commonColumns struct {
	users   *table[sdk.User]
	columns []column
	list    string // what a SELECT from users u names
}

// filledColumns are the columns that a mini program's users have filled, beside that of the platform.
const filledColumns = `owner name created_time updated_time id type display_name first_name last_name avatar email phone
country_code region location bio language gender birthday tag signup_application created_ip last_signin_time
last_signin_ip balance_currency is_forbidden is_deleted properties`

// newCommonColumns chooses among the columns of interest.
func newCommonColumns(users *table[sdk.User], interest []column, registry *provider.Registry) commonColumns {
	c := commonColumns{users: users}
	filled := strings.Fields(filledColumns)
	others := []string{"1=0"}
	for _, column := range interest {
		_, platforms := registry.ByPrefix(column.name)
		if empty := users.dialect.empty(column); empty != "" && !platforms && !slices.Contains(filled, column.name) {
			others = append(others, "u."+users.dialect.quote(column.name)+" NOT IN ("+empty+")")
		} else {
			c.columns = append(c.columns, column)
		}
	}
	c.list = users.list(c.columns, "u.") + ", CASE WHEN " + strings.Join(others, " OR ") + " THEN 1 ELSE 0 END"
	return c
}

// dest returns where to scan what list names to. more tells whether there is more in the row.
func (c commonColumns) dest(user *sdk.User, more *bool) []any {
	return append(c.users.dest(user, c.columns), more)
}

// empty returns, for NOT IN, how a column is stored that holds nothing; NULL aside. It is "" for one that has no such
// form.
func (d dialect) empty(c column) string {
	switch {
	case !c.json:
		return c.zero
	case !c.binary:
		return "'', 'null'"
	case d.driver == "pgx":
		return `'', '\x6e756c6c'`
	default:
		return "x'', x'6e756c6c'"
	}
}
