package test

import (
	"image/color"
	"net/http"
	"testing"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// builtIn returns Casdoor's client with the rights of the application built-in.
func builtIn(t *testing.T, s *harness.Server) *casdoorsdk.Client {
	t.Helper()
	return clientOf(t, s, "app-built-in")
}

// clientOf is a back end of an application.
func clientOf(t *testing.T, s *harness.Server, name string) *casdoorsdk.Client {
	t.Helper()
	value := func(column string) string { return s.Value(t, "SELECT "+column+" FROM application WHERE name=?", name) }
	return casdoorsdk.NewClient(s.URL, value("client_id"), value("client_secret"), s.Certificate, value("organization"), name)
}

// affected requires that a change was done.
func affected(t *testing.T, done bool, err error) {
	t.Helper()
	require.NoError(t, err)
	assert.True(t, done)
}

func TestManageUsers(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk := s.SDK()
	user := &casdoorsdk.User{
		Name: "anna", DisplayName: "Anna", Password: "secret-1", Email: "Anna@example.com", Phone: "13800000000",
		Properties: map[string]string{"wechatOpenId": "oSomebody", "level": "3"}, WeChat: "oSomebody",
	}
	done, err := sdk.AddUser(user)
	affected(t, done, err)
	_, err = sdk.AddUser(user)
	require.EqualError(t, err, "Username already exists")
	_, err = sdk.AddUser(&casdoorsdk.User{Name: " ben", Password: "secret-1"})
	require.ErrorContains(t, err, "no blank around them")
	found, err := sdk.GetUser("anna")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"level": "3"}, found.Properties, "who somebody is at WeChat, WeChat says")
	assert.Equal(t, "***", found.Password)
	assert.Equal(t, "bcrypt", found.PasswordType)
	assert.NotEmpty(t, found.Id)
	for name, find := range map[string]func() (*casdoorsdk.User, error){
		"email": func() (*casdoorsdk.User, error) { return sdk.GetUserByEmail("anna@example.com") },
		"Email": func() (*casdoorsdk.User, error) { return sdk.GetUserByEmail("Anna@Example.com") },
		"phone": func() (*casdoorsdk.User, error) { return sdk.GetUserByPhone("13800000000") },
		"id":    func() (*casdoorsdk.User, error) { return sdk.GetUserByUserId(found.Id) },
	} {
		other, err := find()
		require.NoError(t, err)
		assert.Equal(t, found, other, name)
	}
	hash := s.Value(t, "SELECT password FROM user WHERE name='anna'")
	found.DisplayName, found.Score = "Anna 🐼", 5
	done, err = sdk.UpdateUser(found)
	affected(t, done, err)
	found.Bio, found.Score = "not named", 9
	done, err = sdk.UpdateUserForColumns(found, []string{"score"})
	affected(t, done, err)
	done, err = sdk.UpdateUserByUserId(harness.Organization, found.Id, found)
	affected(t, done, err)
	assert.Equal(t, hash, s.Value(t, "SELECT password FROM user WHERE name='anna'"), "*** leaves it")
	_, err = sdk.UpdateUserForColumns(found, []string{"score; DROP TABLE user"})
	require.ErrorContains(t, err, "there is no column")

	users, err := sdk.GetUsers()
	require.NoError(t, err)
	assert.Len(t, users, 2)
	count, err := sdk.GetUserCount("")
	require.NoError(t, err)
	assert.Equal(t, 2, count)
	sorted, err := sdk.GetSortedUsers("score", 1)
	require.NoError(t, err)
	require.Len(t, sorted, 1)
	assert.Equal(t, "anna", sorted[0].Name)
	page, total, err := sdk.GetPaginationUsers(1, 1, map[string]string{"field": "display_name", "value": "🐼"})
	require.NoError(t, err)
	assert.Equal(t, 1, total)
	assert.Len(t, page, 1)
	all, err := builtIn(t, s).GetGlobalUsers()
	require.NoError(t, err)
	assert.Len(t, all, 3)
	own, err := sdk.GetGlobalUsers()
	require.NoError(t, err)
	assert.Len(t, own, 2, "an organization's application sees its own")
	done, err = sdk.DeleteUser(user)
	affected(t, done, err)
	done, err = sdk.DeleteUser(user)
	require.NoError(t, err)
	assert.False(t, done)
}

// SDKs send null for a list, or a text, that is empty, and "" for the password of a user who was not read before.
func TestManageEmptied(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk := s.SDK()
	done, err := sdk.AddUser(&casdoorsdk.User{
		Name: "anna", Password: "secret-1", Email: "anna@example.com", Bio: "hello", Groups: []string{"shop/staff"},
	})
	affected(t, done, err)
	user, err := sdk.GetUser("anna")
	require.NoError(t, err)
	user.Groups = nil
	done, err = sdk.UpdateUser(user)
	affected(t, done, err)
	for call, change := range map[string]harness.Row{
		"update-user?id=shop/anna":                           {"name": "anna", "email": nil, "createdTime": nil, "id": nil},
		"update-user?id=shop/anna&columns=bio":               {"name": "anna", "bio": nil, "displayName": nil},
		"update-application?id=admin/" + harness.Application: {"organization": nil, "description": nil},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/api/"+call, nil)
		require.NoError(t, err)
		r.SetBasicAuth(harness.ClientID, harness.ClientSecret)
		require.NoError(t, harness.SetBody(r, change))
		assert.Equal(t, "Affected", s.Do(t, r).Map(t)["data"], call)
	}
	emptied, err := sdk.GetUser("anna")
	require.NoError(t, err)
	assert.Empty(t, emptied.Groups)
	assert.Empty(t, emptied.Email)
	assert.Empty(t, emptied.Bio)
	assert.Equal(t, user.Id, emptied.Id)
	assert.Equal(t, user.CreatedTime, emptied.CreatedTime)

	fresh := &casdoorsdk.User{Owner: harness.Organization, Name: "anna", DisplayName: "Anna"}
	done, err = sdk.UpdateUser(fresh)
	affected(t, done, err)
	right, err := sdk.CheckUserPassword(&casdoorsdk.User{Owner: harness.Organization, Name: "anna", Password: "secret-1"})
	require.NoError(t, err)
	assert.True(t, right, "as in Casdoor only a change that names it takes the password away")
	done, err = sdk.UpdateUserForColumns(fresh, []string{"password"})
	affected(t, done, err)
	assert.Empty(t, s.Value(t, "SELECT password FROM user WHERE name='anna'"))
}

// What an admin does to a user counts for the user's tokens at once.
func TestManageSignedIn(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk := s.SDK()
	tokens := s.SignIn(t, "oManaged")
	user, err := sdk.GetUser("wechat-oManaged")
	require.NoError(t, err)
	user.IsForbidden = true
	done, err := sdk.UpdateUserForColumns(user, []string{"is_forbidden"})
	affected(t, done, err)
	_, err = sdk.WithAccessToken(tokens.AccessToken).GetAccount()
	require.ErrorContains(t, err, "forbidden")
	user.IsForbidden = false
	user.Name = "renamed"
	done, err = sdk.UpdateUserById("shop/wechat-oManaged", user)
	affected(t, done, err)
	assert.Equal(t, "renamed", s.Account(t, tokens.AccessToken)["name"], "the token follows")
	assert.Equal(t, "renamed", s.Account(t, s.SignIn(t, "oManaged").AccessToken)["name"], "and so does the OpenID")

	list, total, err := sdk.GetPaginationTokens(1, 10, map[string]string{})
	require.NoError(t, err)
	assert.Equal(t, 2, total)
	require.Len(t, list, 2)
	row, err := sdk.GetToken(list[0].Name)
	require.NoError(t, err)
	assert.Equal(t, "***", row.AccessTokenHash)
	assert.Empty(t, row.Code)
	row.Scope = "openid"
	done, err = sdk.UpdateToken(row)
	affected(t, done, err)
	_, err = sdk.GetToken("none")
	require.EqualError(t, err, "The token: admin/none does not exist")
	done, err = sdk.DeleteUser(user)
	affected(t, done, err)
	_, err = sdk.WithAccessToken(tokens.AccessToken).GetAccount()
	require.Error(t, err)
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM mini_program_identity"))
	assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM token"))
}

func TestManageApplications(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk, root := s.SDK(), builtIn(t, s)
	done, err := root.AddOrganization(&casdoorsdk.Organization{Name: "other"})
	affected(t, done, err)
	done, err = sdk.AddCert(&casdoorsdk.Cert{Name: "cert-2", CryptoAlgorithm: "ES256"})
	affected(t, done, err)
	done, err = sdk.AddCert(&casdoorsdk.Cert{Name: "cert-tls", CryptoAlgorithm: "ES256", Scope: "TLS"})
	affected(t, done, err)
	done, err = sdk.AddApplication(&casdoorsdk.Application{Name: "app-2", Organization: "shop", Cert: "cert-2"})
	affected(t, done, err)
	app, err := root.GetApplication("app-2")
	require.NoError(t, err)
	assert.Len(t, app.ClientId, 20)
	assert.Len(t, app.ClientSecret, 40)
	assert.Equal(t, "shop", app.OrganizationObj.Name)
	own, err := sdk.GetApplication(harness.Application)
	require.NoError(t, err)
	assert.Equal(t, harness.ClientSecret, own.ClientSecret)
	assert.Equal(t, "***", own.Providers[0].Provider.ClientSecret)
	done, err = sdk.UpdateApplication(own)
	affected(t, done, err)
	assert.Equal(t, harness.ClientSecret, s.Value(t, "SELECT client_secret FROM application WHERE name='app-shop'"))
	listed, err := sdk.GetOrganizationApplications()
	require.NoError(t, err)
	for _, app := range listed {
		assert.Equal(t, "***", app.ClientSecret, "a list holds no secret")
	}
	for name, change := range map[string]func(*casdoorsdk.Application){
		"another application has this clientId": func(a *casdoorsdk.Application) { a.ClientId = app.ClientId },
		"the cert none does not exist":          func(a *casdoorsdk.Application) { a.Cert = "none" },
		"the cert cert-tls is not for tokens":   func(a *casdoorsdk.Application) { a.Cert = "cert-tls" },
		"tokenFormat must be":                   func(a *casdoorsdk.Application) { a.TokenFormat = "XML" },
		"expireInHours must be at least 0":      func(a *casdoorsdk.Application) { a.ExpireInHours = -1 },
		"at most 878400":                        func(a *casdoorsdk.Application) { a.RefreshExpireInHours = 1e9 },
		"the provider none does not exist": func(a *casdoorsdk.Application) {
			a.Providers = append([]*casdoorsdk.ProviderItem{{Name: "none"}}, a.Providers...)
		},
		"isShared":               func(a *casdoorsdk.Application) { a.IsShared = true },
		"Unauthorized operation": func(a *casdoorsdk.Application) { a.Organization = "other" },
	} {
		changed := *own
		change(&changed)
		_, err := sdk.UpdateApplication(&changed)
		assert.ErrorContains(t, err, name)
	}
	checkCerts(t, s, sdk, root)
	done, err = root.DeleteApplication(app)
	affected(t, done, err)
	_, err = sdk.DeleteApplication(own)
	require.ErrorContains(t, err, "users have signed up with it")
	_, err = root.DeleteOrganization(&casdoorsdk.Organization{Name: "shop"})
	require.ErrorContains(t, err, "it has users")
	done, err = root.DeleteOrganization(&casdoorsdk.Organization{Name: "other"})
	affected(t, done, err)
	names, err := sdk.GetOrganizationNames()
	require.NoError(t, err)
	assert.Len(t, names, 1)
}

func checkCerts(t *testing.T, s *harness.Server, sdk, root *casdoorsdk.Client) {
	t.Helper()
	for name, c := range map[string]struct {
		client *casdoorsdk.Client
		cert   string
		want   string
	}{
		"everybody's, the own application signs with it": {sdk, "admin/cert-built-in", `^\*\*\*$`},
		"everybody's, by its bare name":                  {sdk, "cert-built-in", `^\*\*\*$`},
		"everybody's, built-in asks":                     {root, "admin/cert-built-in", "PRIVATE KEY"},
		"the own one, another application signs with it": {sdk, "shop/cert-2", `^\*\*\*$`},
		"the own one, the application signs with it":     {clientOf(t, s, "app-2"), "shop/cert-2", "PRIVATE KEY"},
	} {
		cert, err := c.client.GetCert(c.cert)
		require.NoError(t, err, name)
		assert.Regexp(t, c.want, cert.PrivateKey, name)
		assert.Contains(t, cert.Certificate, "BEGIN CERTIFICATE", name)
	}
	other, err := sdk.GetCert("cert-2")
	require.NoError(t, err)
	other.DisplayName = "Second"
	done, err := sdk.UpdateCert(other)
	affected(t, done, err)
	assert.Contains(t, s.Value(t, "SELECT private_key FROM cert WHERE name='cert-2'"), "PRIVATE KEY")
	for _, list := range []func() ([]*casdoorsdk.Cert, error){root.GetCerts, root.GetGlobalCerts, sdk.GetCerts} {
		certs, err := list()
		require.NoError(t, err)
		require.NotEmpty(t, certs)
		for _, cert := range certs {
			assert.Equal(t, "***", cert.PrivateKey)
		}
	}
	_, err = sdk.DeleteCert(other)
	require.EqualError(t, err, "the cert cert-2 cannot be deleted: the application app-2 uses it")
	_, err = sdk.AddCert(&casdoorsdk.Cert{Name: "cert-built-in", CryptoAlgorithm: "ES256"})
	require.EqualError(t, err, "The cert: cert-built-in already exists")
	_, err = root.DeleteCert(&casdoorsdk.Cert{Owner: "admin", Name: "cert-built-in"})
	require.ErrorContains(t, err, "cannot be deleted")
}

func TestManageResources(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk := s.SDK()
	url, name, err := sdk.UploadResource(harness.AdminName, "banner", "", "../../etc/a.png", pngOf(t, painted(color.White)))
	require.NoError(t, err)
	assert.Equal(t, 200, fetch(t, s, url).Status)
	row, err := sdk.GetResourceEx(harness.Organization, name)
	require.NoError(t, err)
	assert.Equal(t, "a.png", row.FileName)
	rows, err := sdk.GetResources(harness.Organization, harness.AdminName, "", "", "", "")
	require.NoError(t, err)
	assert.Equal(t, []*casdoorsdk.Resource{row}, rows)
	// A row that names somebody else's file, or a path, has no file of its own.
	s.SignIn(t, "oPicture")
	avatar, _, err := sdk.UploadResource("wechat-oPicture", "avatar", "", "a.png", pngOf(t, painted(color.Black)))
	require.NoError(t, err)
	for _, path := range []string{"../harness.db", "a/../../harness.db"} {
		s.Exec(t, "INSERT INTO resource (owner, name) VALUES ('shop', ?)", path)
		done, err := sdk.DeleteResource(&casdoorsdk.Resource{Owner: "shop", Name: path})
		affected(t, done, err)
	}
	s.Exec(t, "INSERT INTO resource (owner, name) VALUES ('built-in', ?)", avatar[len(s.URL)+len("/avatars/"):])
	done, err := builtIn(t, s).DeleteResource(&casdoorsdk.Resource{
		Owner: "built-in", Name: avatar[len(s.URL)+len("/avatars/"):],
	})
	affected(t, done, err)
	assert.NotEmpty(t, s.Value(t, "SELECT COUNT(*) FROM user"))
	done, err = sdk.DeleteResource(row)
	affected(t, done, err)
	require.NoError(t, s.Service.DoChores(t.Context()))
	assert.Equal(t, 404, fetch(t, s, url).Status)
	assert.Equal(t, 200, fetch(t, s, avatar).Status)
}

func TestManageRecords(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	sdk := s.SDK()
	done, err := sdk.AddRecord(&casdoorsdk.Record{Name: "r1", Action: "ordered", User: harness.AdminName})
	affected(t, done, err)
	record, err := sdk.GetRecord("r1")
	require.NoError(t, err)
	assert.Equal(t, "ordered", record.Action)
	done, err = sdk.AddUser(&casdoorsdk.User{Name: "seen", Password: "secret-1"})
	affected(t, done, err)
	records, total, err := sdk.GetPaginationRecords(1, 10, map[string]string{})
	require.NoError(t, err)
	assert.Equal(t, 3, total)
	assert.Equal(t, "add-user", records[0].Action)
	assert.Equal(t, "shop/seen", records[0].Object)
	assert.Equal(t, harness.Application, records[0].User)
	assert.Equal(t, "POST", records[0].Method)
	assert.Equal(t, "/api/add-user", records[0].RequestUri)
	assert.Equal(t, "127.0.0.1", records[0].ClientIp)
	all, err := sdk.GetRecords()
	require.NoError(t, err)
	assert.Equal(t, records, all)
}
