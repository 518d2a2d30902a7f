package fakecasdoor

import (
	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

const masked = "***"

// one returns a copy of the row that a call asks for by id, or nil.
func one[T any](s *Server, c *call, rows func(*Rows) []*T) *T {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, found := find(rows(&s.rows), c.FormValue("id"))
	if !found {
		return nil
	}
	twin := clone(*row)
	return &twin
}

// reply is done, with a plain null for a row that there is not.
func reply[T any](row *T) sdk.Response {
	if row == nil {
		return done(nil)
	}
	return done(row)
}

// getApplication shows its secrets to clients and admins, and hides them from others.
func (s *Server) getApplication(c *call) any {
	app := one(s, c, func(r *Rows) []*sdk.Application { return r.Applications })
	if app == nil {
		return done(nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if org, found := find(s.rows.Organizations, "admin/"+app.Organization); found {
		twin := clone(*org)
		app.OrganizationObj = &twin
	}
	for _, item := range app.Providers {
		if p, found := find(s.rows.Providers, "admin/"+item.Name); found {
			item.Provider = maskedProvider(p)
		}
	}
	if !seesAll(c.user) {
		hide(app)
	}
	return done(app)
}

// hide takes out of an application what only admins see.
func hide(app *sdk.Application) {
	for _, field := range []*string{&app.ClientSecret, &app.Cert, &app.SamlReplyUrl} {
		*field = masked
	}
	app.EnablePassword, app.GrantTypes, app.RedirectUris = false, []string{}, []string{}
	app.OtherDomains, app.TokenAttributes = []string{}, []*sdk.JwtItem{}
	if org := app.OrganizationObj; org != nil {
		for _, field := range []*string{
			&org.PasswordType, &org.PasswordSalt, &org.MasterPassword, &org.DefaultPassword, &org.IpWhitelist,
		} {
			*field = masked
		}
		org.AccountItems = nil
	}
}

func (s *Server) getApplications(c *call) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	apps := []sdk.Application{}
	for _, app := range s.rows.Applications {
		if app.Owner == c.FormValue("owner") {
			apps = append(apps, clone(*app))
		}
	}
	return done(apps)
}

func (s *Server) getOrganization(c *call) any {
	org := one(s, c, func(r *Rows) []*sdk.Organization { return r.Organizations })
	if org != nil && org.MfaRememberInHours == 0 {
		org.MfaRememberInHours = 12
	}
	return reply(org)
}

// getProvider shows its secret to nobody.
func (s *Server) getProvider(c *call) any {
	p := one(s, c, func(r *Rows) []*sdk.Provider { return r.Providers })
	if p == nil {
		return done(nil)
	}
	return done(maskedProvider(p))
}

func maskedProvider(p *sdk.Provider) *sdk.Provider {
	twin := clone(*p)
	if twin.ClientSecret != "" {
		twin.ClientSecret = masked
	}
	return &twin
}

// getCert shows the private key as well.
func (s *Server) getCert(c *call) any {
	return reply(one(s, c, func(r *Rows) []*sdk.Cert { return r.Certs }))
}

// getCerts answers with the certs of an organization and those of "admin", which all share.
func (s *Server) getCerts(c *call) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	certs := []sdk.Cert{}
	for _, cert := range s.rows.Certs {
		if cert.Owner == "admin" || cert.Owner == c.FormValue("owner") {
			certs = append(certs, *cert)
		}
	}
	return done(certs)
}
