package controllers

import (
	"path"
	"slices"
	"strings"

	"github.com/beego/beego/v2/server/web"
)

// route is a path and what its methods do, as beego spells it: "get:Account;post:Update".
type route struct {
	path       string
	controller web.ControllerInterface
	methods    string
}

// anyName stands in a path for a name: as the last segment, or the one before.
const anyName = ":name"

// routes are those of mini programs, and all others where no other Casdoor has them.
func routes(deps *Deps) []route {
	base := Base{Deps: deps}
	all := []route{
		{"/api/mini-program/profile", &ProfileController{base}, "post:Profile"},
		{avatarPath, &AvatarController{base}, "post:Upload"},
		{"/api/mini-program/phone", &MiniProgramController{base}, "post:Phone"},
		{"/api/mini-program/decrypt", &MiniProgramController{base}, "post:Decrypt"},
		{"/api/mini-program/session", &MiniProgramController{base}, "get:Session"},
		{"/api/mini-program/account/export", &MiniProgramController{base}, "get:Export"},
		{"/api/mini-program/account/delete", &MiniProgramController{base}, "post:Delete"},
		{pushPath + anyName, &PushController{base}, "get:Verify;post:Push"},
		{ownHealthPath, &StateController{base}, "get:Health"},
		{healthPath, &StateController{base}, "get:Health"},
		{accessTokenPath, &TokenController{base}, "post:AccessToken"},
		{updateUserPath, &ProfileController{base}, "post:UpdateUser"},
	}
	if deps.Authority != nil {
		all = append(all, casdoorRoutes(base)...)
		all = append(all, manageRoutes(base)...)
		all = append(all, passwordRoutes(base)...)
		all = append(all, wellKnownRoutes(base)...)
	}
	if deps.Console != nil {
		all = append(all, consoleRoutes(base)...)
	}
	if deps.Metrics != nil {
		all = append(all, metricsRoutes(base)...)
	}
	if deps.Files != nil {
		all = append(all, route{filesPath + "a/" + anyName, &AvatarController{base}, "get:File"})
	}
	if deps.Demo != nil {
		all = append(all, demoRoutes(base)...)
	}
	return all
}

const metricsPath = "/api/metrics"

// metricsRoutes has the path of a Casdoor only where there is no other one.
func metricsRoutes(base Base) []route {
	all := []route{{"/api/mini-program/metrics", &MetricsController{base}, "get:Metrics"}}
	if base.Deps.Authority != nil {
		all = append(all, route{metricsPath, &MetricsController{base}, "get:Metrics"})
	}
	return all
}

func casdoorRoutes(base Base) []route {
	return []route{
		{"/api/login/oauth/refresh_token", &TokenController{base}, "post:RefreshToken"},
		{"/api/login/oauth/introspect", &TokenController{base}, "post:Introspect"},
		{loginPath, &LoginController{base}, "post:Login"},
		{logoutPath, &LoginController{base}, "get:Logout;post:Logout"},
		{"/api/get-account", &AccountController{base}, "get:Account"},
		{"/api/userinfo", &AccountController{base}, "get:Userinfo;post:Userinfo"},
		{"/api/user", &AccountController{base}, "get:Self"},
		{"/api/get-user", &AccountController{base}, "get:User"},
		{resourcePath, &AvatarController{base}, "post:Resource"},
		{"/api/get-version-info", &StateController{base}, "get:Version"},
	}
}

// wellKnownRoutes are those of Casdoor that verifiers of tokens need, for the server and for one application.
func wellKnownRoutes(base Base) []route {
	const one = wellKnownPath + anyName
	return []route{
		{wellKnownPath + "openid-configuration", &WellKnownController{base}, "get:Discovery"},
		{wellKnownPath + "oauth-authorization-server", &WellKnownController{base}, "get:Discovery"},
		{wellKnownPath + "jwks", &WellKnownController{base}, "get:Keys"},
		{one + "/openid-configuration", &WellKnownController{base}, "get:ApplicationDiscovery"},
		{one + "/oauth-authorization-server", &WellKnownController{base}, "get:ApplicationDiscovery"},
		{one + "/jwks", &WellKnownController{base}, "get:ApplicationKeys"},
	}
}

// register adds the routes to beego and returns the methods of each path, as the header Allow lists them.
func register(app *web.HttpServer, deps *Deps) map[string]string {
	allowed := map[string]string{}
	for _, r := range routes(deps) {
		app.Router(r.path, r.controller, r.methods)
		var methods []string
		for mapping := range strings.SplitSeq(r.methods, ";") {
			method, _, _ := strings.Cut(mapping, ":")
			methods = append(methods, strings.ToUpper(method))
		}
		allowed[r.path] = strings.Join(methods, ", ")
	}
	return allowed
}

// routeOf returns the path of the route that a request's path is for, and its methods, or routeUnknown and none.
func routeOf(allowed map[string]string, wanted string) (route, methods string) {
	if methods, known := allowed[wanted]; known {
		return wanted, methods
	}
	folder, last := path.Split(wanted)
	above, name := path.Split(strings.TrimSuffix(folder, "/"))
	if methods, known := allowed[folder+anyName]; known && last != "" {
		return folder + anyName, methods
	}
	route = above + anyName + "/" + last
	if methods, known := allowed[route]; known && !slices.Contains([]string{"", ".", ".."}, name) {
		return route, methods
	}
	return routeUnknown, ""
}

func allows(methods, method string) bool {
	return slices.Contains(strings.Split(methods, ", "), method)
}
