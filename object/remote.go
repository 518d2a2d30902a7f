package object

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/google/uuid"
	"github.com/minidoor/minidoor/provider"
)

// RemoteConfig says which Casdoor is reached through its API. The fields up to AppSecrets are required.
type RemoteConfig struct {
	Endpoint     string                     // base URL, without a slash at its end
	ClientID     string                     // of an application of the organization whose users sign in
	ClientSecret provider.Secret            // of that application
	AppSecrets   map[string]provider.Secret // of the mini programs, by AppID: the API does not tell them
	Timeout      time.Duration              // of a call to the API; 0: 5 s
}

// NewRemoteService returns the use cases on a Casdoor's API. It keeps nothing itself: no SessionKey, for which the
// Sealer would be, and no UnionID beside the user's property, so that no users are shared by it. Refresh tokens are
// JWTs, as that Casdoor renews them. A Casdoor that refuses the credentials is an error; one that does not answer is
// not, as it may be starting too.
func NewRemoteService(ctx context.Context, cfg RemoteConfig, services ServiceConfig) (*Service, error) {
	if services.Registry == nil || cfg.Endpoint == "" || cfg.ClientID == "" || cfg.ClientSecret == "" ||
		len(cfg.AppSecrets) == 0 {
		return nil, errors.New("a remote service needs a registry, and all of its RemoteConfig")
	}
	services = services.withDefaults()
	services.Sealer, services.RefreshTokenJWT = nil, true
	r := &remote{
		casdoor: newCasdoor(cfg), registry: services.Registry, log: services.Logger, keyring: newKeyring(),
		clientID: cfg.ClientID, appSecrets: maps.Clone(cfg.AppSecrets), lists: newCache(services.Now, settingsTTL),
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return newService(r, services), nil
}

// remote is the directory behind a Casdoor's API. Users are found by their names alone: the API has no other search
// whose cost does not grow with the users.
type remote struct {
	casdoor    *casdoor
	registry   *provider.Registry
	log        *slog.Logger
	keyring    *keyring
	clientID   string
	appSecrets map[string]provider.Secret
	lists      *cache                 // of the listing of applications
	home       atomic.Pointer[string] // the organization of our application; nil until it has been read
	warned     sync.Map               // the AppIDs that something was wrong with
}

// start learns the organization, and finds out whether the credentials are right.
func (r *remote) start(ctx context.Context) error {
	_, err := r.applications(ctx)
	if e, ok := errors.AsType[*casdoorError](err); ok && (e.problem == unauthorized || e.problem == noSuchClient) {
		return err
	}
	if err != nil {
		r.log.WarnContext(ctx, "nobody can sign in until casdoor answers", "cause", err)
	}
	return nil
}

// Ping implements directory.
func (r *remote) Ping(ctx context.Context) error {
	_, err := call(ctx, r.casdoor, "health", func(c *sdk.Client) (*sdk.Response, error) {
		return c.DoGetResponse(c.GetUrl("health", nil))
	})
	return err
}

// remoteName returns the name of an OpenID's user, which is the same each time. Casdoor's API takes no name with two
// of "-" and "_" in a row, or one at its end (object/check.go there), as one OpenID in twenty would make: such a one
// is spelt in hexadecimal.
func remoteName(prefix, openID string) string {
	name := prefix + "-" + openID
	if regexp.MustCompile(`^[a-zA-Z0-9]+([-._][a-zA-Z0-9]+)*$`).MatchString(name) {
		return name
	}
	return prefix + "-x" + hex.EncodeToString([]byte(openID))
}

// remoteID returns the id of the user whom we make under a name. Nobody can choose an id on Casdoor's pages, or change
// it, so that it proves who has made the user.
func remoteID(organization, name string) string {
	const hashed = 8 // the version of UUIDs that follow rules of one's own (RFC 9562 §5.8)
	return uuid.NewHash(sha256.New(), uuid.NameSpaceURL, []byte("minidoor:"+organization+"/"+name), hashed).String()
}

// find implements directory. The name alone is no proof, as people may choose theirs on Casdoor's pages.
func (r *remote) find(ctx context.Context, p *person) error {
	org, openID := p.request.Client.Organization.Name, p.session.OpenID
	p.name = remoteName(p.platform.Prefix, openID)
	p.id = remoteID(org, p.name)
	user, err := r.user(ctx, org, p.name)
	p.isNew = errors.Is(err, ErrNotFound)
	if p.isNew {
		return nil
	}
	if err != nil {
		return err
	}
	if user.Properties[p.platform.Prefix+openIDProperty] != openID {
		return contested("user %s has another OpenID in its properties, or none", user.GetId())
	}
	if user.Id != p.id && !madeByMiniProgram(user, openID) {
		return contested("user %s was made otherwise than by a mini program's sign-in", user.GetId())
	}
	p.user = user
	return nil
}

// madeByMiniProgram reports whether a user looks as Casdoor's own mini-program flow leaves one, and not like one who
// has signed up under the name of an OpenID: Casdoor v3.158 lets users write their own properties and wechat column,
// but not how they have registered.
func madeByMiniProgram(user *sdk.User, openID string) bool {
	return user.WeChat == openID && user.RegisterType == "" && user.Password == ""
}

// user returns a user, or ErrNotFound.
func (r *remote) user(ctx context.Context, organization, name string) (*sdk.User, error) {
	return callForRow(ctx, r.casdoor, "get-user", func(c *sdk.Client) (*sdk.User, error) {
		return c.GetUser(organization + "/" + name)
	})
}

// admit implements directory. Each write is a call of its own: the token, without which the others do no harm, is the
// last. The time of the sign-in is not worth a call, nor does Casdoor's own flow write it.
func (r *remote) admit(ctx context.Context, p *person, changed []string, token *sdk.Token) error {
	var err error
	if p.isNew {
		err = r.addUser(ctx, p.user)
	} else {
		err = r.updateUser(ctx, p.user, changed)
	}
	if err != nil {
		return err
	}
	return r.addToken(ctx, token)
}

// addUser adds a user who is new, and looks whether that has happened: Casdoor may have stored another name, and what
// it says of a race is a text of its database. It returns errRaced when there is another user by now.
func (r *remote) addUser(ctx context.Context, user *sdk.User) error {
	const action = "add-user"
	added, err := call(ctx, r.casdoor, action, func(c *sdk.Client) (bool, error) { return c.AddUser(user) })
	if e, ok := errors.AsType[*casdoorError](err); ok && e.problem != refused {
		return err
	}
	stored, missing := r.user(ctx, user.Owner, user.Name)
	switch {
	case missing == nil && added && stored.Id == user.Id && stored.Name == user.Name:
		return nil
	case missing == nil:
		return errRaced
	case !errors.Is(missing, ErrNotFound):
		return missing
	case added:
		return &casdoorError{action: action, problem: renamed}
	case err == nil:
		return &casdoorError{action: action, problem: refused}
	}
	return err
}

// addToken stores a token's row: with hashes only, for whoever reads it must not be able to use a token.
func (r *remote) addToken(ctx context.Context, token *sdk.Token) error {
	stored := *token
	stored.AccessToken, stored.RefreshToken = "", ""
	added, err := call(ctx, r.casdoor, "add-token", func(c *sdk.Client) (bool, error) { return c.AddToken(&stored) })
	if err == nil && !added {
		err = &casdoorError{action: "add-token", problem: refused}
	}
	return err
}

// update implements directory.
func (r *remote) update(ctx context.Context, p *Principal, columns []string) error {
	err := r.updateUser(ctx, p.User, columns)
	if e, ok := errors.AsType[*casdoorError](err); ok {
		if unfit := unfitFor(e.said); unfit != nil {
			return unfit
		}
	}
	return err
}

// unfitFor says which field it is when Casdoor does not take a value of the user's (object/check.go there), or nil.
func unfitFor(said string) *Refusal {
	switch said {
	case "Email already exists":
		return emailTaken()
	case "Phone already exists":
		return refuse(InvalidRequest, "phone is another user's")
	case "Phone number is invalid":
		return refuse(InvalidRequest, "phone is no number that Casdoor takes")
	}
	return nil
}

// updateUser writes columns of a user who was read before. The whole user is sent, as Casdoor looks at more than the
// columns; it writes no others.
func (r *remote) updateUser(ctx context.Context, user *sdk.User, columns []string) error {
	var names []string
	for _, column := range columns {
		if !strings.HasPrefix(column, "last_signin") && column != "updated_time" { // which Casdoor sets
			names = append(names, camelCase(column))
		}
	}
	if len(names) == 0 {
		return nil
	}
	sent := *user
	updated, err := call(ctx, r.casdoor, "update-user", func(c *sdk.Client) (bool, error) {
		return c.UpdateUserForColumns(&sent, names)
	})
	if err != nil || updated {
		return err
	}
	// So Casdoor says on MySQL, too, when all was so already.
	_, err = r.user(ctx, user.Owner, user.Name)
	if errors.Is(err, ErrNotFound) {
		return errRaced
	}
	return err
}

// camelCase turns a column's name into that of Casdoor's JSON.
func camelCase(column string) string {
	words := strings.Split(column, "_")
	for i, word := range words[1:] {
		words[i+1] = strings.ToUpper(word[:1]) + word[1:]
	}
	return strings.Join(words, "")
}

// principal implements directory. The jti of a token names its row.
func (r *remote) principal(ctx context.Context, token string, claims *tokenClaims) (*Principal, error) {
	owner, name := claims.row()
	row, err := r.token(ctx, owner+"/"+name)
	if err != nil {
		return nil, err
	}
	// The row of a token that was refreshed may have become another token's.
	if !sameSecret(row.AccessTokenHash, tokenHash(token)) {
		return nil, ErrNotFound
	}
	if home := r.home.Load(); home == nil || row.Organization != *home {
		return nil, ErrNotFound
	}
	p := &Principal{User: &sdk.User{}, row: row}
	if row.User == "" {
		return p, nil // an application's own
	}
	user, err := r.user(ctx, row.Organization, row.User)
	if errors.Is(err, ErrNotFound) {
		return p, nil
	}
	p.User = user
	return p, err
}

// token returns a token row, or ErrNotFound. Casdoor has no other sign for a row that there is not than its words.
func (r *remote) token(ctx context.Context, id string) (*sdk.Token, error) {
	row, err := callForRow(ctx, r.casdoor, "get-token", func(c *sdk.Client) (*sdk.Token, error) { return c.GetToken(id) })
	if e, ok := errors.AsType[*casdoorError](err); ok && e.said == fmt.Sprintf("The token: %s does not exist", id) {
		return nil, ErrNotFound
	}
	return row, err
}
