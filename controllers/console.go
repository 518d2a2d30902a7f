package controllers

import (
	"net/http"
	"strings"
)

// consoleRoot is where the console for admins is. All of its pages work without JavaScript, and what they may do is
// what the session's user may do through the API: they call the same use cases.
const consoleRoot = "/console"

// ConsoleController serves one page of the console.
type ConsoleController struct {
	Base

	Page consolePage
}

// consolePage is what a path of the console shows and does. Each function ends in a reply or in an error, which is
// shown on a page of its own.
type consolePage struct {
	path      string
	show      func(*visit) error // GET; nil: it shows nothing
	change    func(*visit) error // POST; nil: it changes nothing
	anonymous bool               // for whomever
	owner     bool               // changes rows of Casdoor: another Casdoor does that itself
	from      string             // the page that has the form, where it is not the one of the same path
}

// consolePages are all pages by their paths below consoleRoot.
func consolePages() []consolePage {
	pages := []consolePage{
		{path: "/static/" + anyName, show: (*visit).static, anonymous: true},
		{path: "/preferences", change: (*visit).setPreferences, anonymous: true},
		{path: "/sign-in", show: (*visit).signInPage, change: (*visit).signIn, anonymous: true},
		{path: "/sign-out", change: (*visit).leaveConsole, anonymous: true, from: "/sign-in"},
	}
	for _, section := range [][]consolePage{
		overviewPages(), providerPages(), applicationPages(), userPages(), logPages(), certPages(), recordPages(),
	} {
		pages = append(pages, section...)
	}
	return pages
}

func consoleRoutes(base Base) []route {
	var all []route
	for _, p := range consolePages() {
		if p.owner && base.Deps.Authority == nil {
			continue
		}
		var methods []string
		if p.show != nil {
			methods = append(methods, "get:Show")
		}
		if p.change != nil {
			methods = append(methods, "post:Change")
		}
		all = append(all, route{consoleRoot + p.path, &ConsoleController{base, p}, strings.Join(methods, ";")})
	}
	return all
}

// isConsole reports whether a path is one of the console's.
func isConsole(path string) bool {
	return path == consoleRoot || strings.HasPrefix(path, consoleRoot+"/")
}

// Show is GET of a page.
func (c *ConsoleController) Show() { c.serve(c.Page.show) }

// Change is POST of a form.
func (c *ConsoleController) Change() { c.serve(c.Page.change) }

func (c *ConsoleController) serve(action func(*visit) error) {
	v := newVisit(&c.Base)
	if v.r.Method != http.MethodGet && c.Page.from != "" {
		v.here = consoleRoot + c.Page.from
	}
	if err := c.admit(v); err != nil {
		v.fail(err)
		return
	}
	if v.caller == nil && !c.Page.anonymous {
		action = (*visit).askToSignIn
	}
	if err := action(v); err != nil {
		v.fail(err)
	}
}

// admit finds out who asks, and refuses what another site's page sends.
func (c *ConsoleController) admit(v *visit) error {
	if err := c.Deps.crossOrigin(v.r); err != nil {
		return err
	}
	if c.Page.anonymous {
		return nil
	}
	return v.identify()
}
