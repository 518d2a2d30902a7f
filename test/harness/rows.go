package harness

import (
	"maps"

	"github.com/minidoor/minidoor/idp"
)

func (o Options) rows() Rows {
	rows := Rows{
		"organizations": {with(Row{"owner": "admin", "name": Organization, "displayName": "Shop"}, o.Organization)},
		"providers": {with(Row{
			"owner": "admin", "name": Provider, "category": "OAuth", "type": idp.TypeWeChatMiniProgram,
			"clientId": AppID, "clientSecret": AppSecret,
		}, o.Provider)},
		"applications": {o.application()},
		"users": {{
			"owner": Organization, "name": AdminName, "displayName": "Boss", "isAdmin": true,
			"signupApplication": Application,
		}},
	}
	if o.Push.Token != "" {
		rows["miniProgramProviders"] = []Row{{
			"owner": "admin", "name": Provider, "pushToken": o.Push.Token, "pushEncodingAESKey": o.Push.EncodingAESKey,
		}}
	}
	for table, more := range o.Rows {
		rows[table] = append(rows[table], more...)
	}
	return rows
}

func (o Options) application() Row {
	return with(App(Application, ClientID, Provider), o.Application)
}

// App is the row of an application of the organization, with the client secret ClientSecret and providers by name.
func App(name, clientID string, providers ...string) Row {
	items := []Row{}
	for _, p := range providers {
		items = append(items, Row{"owner": "admin", "name": p, "canSignUp": true, "canSignIn": true})
	}
	return Row{
		"owner": "admin", "name": name, "organization": Organization, "displayName": name, "cert": "cert-built-in",
		"enableSignUp": true, "clientId": clientID, "clientSecret": ClientSecret, "providers": items,
		"grantTypes": []string{"refresh_token", "client_credentials"},
	}
}

func with(row, more Row) Row {
	maps.Copy(row, more)
	return row
}
