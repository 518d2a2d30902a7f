package object

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// AdminSession is what a browser is signed in by, with a password. It may be any user's, not an administrator's only:
// its name is that of the table. The browser has the token; who reads the row can do nothing with it.
type AdminSession struct {
	TokenHash    string `xorm:"varchar(64) notnull pk"`
	ID           string `xorm:"'session_id' varchar(36) notnull"` // names the session where it is listed, and opens nothing
	Organization string `xorm:"varchar(100) notnull"`
	UserID       string `xorm:"user_id varchar(100) notnull index"`
	Application  string `xorm:"varchar(100)"`
	PasswordMark string `xorm:"varchar(64) notnull"` // see passwordMark
	CreatedTime  string `xorm:"varchar(30) notnull"`
	ExpiresTime  string `xorm:"varchar(30) notnull index"`
	SeenTime     string `xorm:"varchar(30) notnull"`
	ClientIP     string `xorm:"client_ip varchar(100)"`
}

// PasswordSignIn is a user's name and password, as typed.
type PasswordSignIn struct {
	Application  string // empty: none in particular, as for the console of minidoor itself
	Organization string
	Username     string // or e-mail address, or phone number
	Password     string
	Browser      string // what BrowserToken has given it, if it is there; may be empty
	ClientIP     string // for the record; may be empty
}

// adminSessionLife is Casdoor's default of cookieExpireInHours.
const adminSessionLife = 24 * time.Hour

// SignInByPassword begins a session for a user with a password, and returns the token that it is known by. What is
// wrong is a *Refusal: that nobody has such a name is not told from a wrong password, neither by words nor by time. A
// user who has a second factor is refused.
func (a *Authority) SignInByPassword(ctx context.Context, in PasswordSignIn) (token string, c *Caller, err error) {
	app, err := a.passwordApplication(ctx, in)
	if err != nil {
		return "", nil, err
	}
	user, err := a.checkPassword(ctx, lockoutOf(app, in.Organization), in)
	if err != nil {
		return "", nil, err
	}
	if err := a.mayEnter(ctx, in, app, user); err != nil {
		return "", nil, err
	}
	life := adminSessionLife
	if app != nil {
		in.Application = app.Name // the database may take another spelling for it
		if app.CookieExpireInHours > 0 {
			life = hours(float64(app.CookieExpireInHours))
		}
	}
	token = rand.Text()
	row := &AdminSession{
		TokenHash: tokenHash(token), ID: newID(), Organization: user.Owner, UserID: user.Id, Application: in.Application,
		PasswordMark: passwordMark(token, user), ClientIP: in.ClientIP,
		CreatedTime: a.stamp(), SeenTime: a.stamp(), ExpiresTime: timestamp(a.now().Add(life)),
	}
	c = userCaller(user)
	c.ClientIP, c.Address = in.ClientIP, "POST /api/login"
	user.LastSigninTime, user.LastSigninIp = a.stamp(), in.ClientIP
	return token, c, a.tables.write(ctx, func(tx *txn) error {
		if _, err := a.tables.adminSessions.insert(tx, row, ""); err != nil {
			return err
		}
		last := []string{"last_signin_time", "last_signin_ip"}
		if _, err := a.tables.users.update(tx, user, last, byName+" AND id=?", user.Owner, user.Name, user.Id); err != nil {
			return err
		}
		return a.recordChange(tx, c, "login", user.GetId())
	})
}

// passwordApplication returns the application that is signed in to, or nil where none is named.
func (a *Authority) passwordApplication(ctx context.Context, in PasswordSignIn) (*sdk.Application, error) {
	if in.Application == "" {
		return nil, nil
	}
	app, err := a.tables.applications.named(a.tables.read(ctx), adminOwner, in.Application)
	if errors.Is(err, ErrNotFound) || err == nil && !app.IsShared && app.Organization != in.Organization {
		return nil, refuse(InvalidRequest, "The application: %.100s does not exist", in.Application)
	}
	if err != nil {
		return nil, err
	}
	byPassword := app.EnablePassword || slices.ContainsFunc(app.SigninMethods, func(m *sdk.SigninMethod) bool {
		return m != nil && m.Name == "Password"
	})
	if app.DisableSignin || !byPassword {
		return nil, refuse(AccessDenied, "The login method: login with password is not enabled for the application")
	}
	return app, nil
}

// mayEnter refuses users whom the right password does not let in, as in the Casdoor where that was set.
func (a *Authority) mayEnter(ctx context.Context, in PasswordSignIn, app *sdk.Application, user *sdk.User) error {
	if err := usable(user); err != nil {
		return err
	}
	if user.PreferredMfaType != "" {
		return refuse(AccessDenied, "the user signs in with a second factor, which this server does not ask for")
	}
	networks := []string{user.IpWhitelist}
	if app != nil {
		networks = append(networks, app.IpWhitelist)
	}
	org, err := a.settings.organization(ctx, user.Owner)
	if ignoreMissing(err) != nil {
		return err
	}
	if err == nil {
		networks = append(networks, org.IpWhitelist)
	}
	if slices.ContainsFunc(networks, func(list string) bool { return !isWithin(in.ClientIP, list) }) {
		return refuse(AccessDenied, "the user may not sign in from this address")
	}
	return nil
}

// isWithin reports whether an address is in one of the networks of a list, which commas part. An empty list holds all,
// and any other one the server's own machine, as in Casdoor.
func isWithin(address, list string) bool {
	if list == "" {
		return true
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	ip = ip.Unmap()
	return ip.IsLoopback() || slices.ContainsFunc(strings.Split(list, ","), func(network string) bool {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(network))
		return err == nil && prefix.Contains(ip)
	})
}

// passwordMark ties a session to the password that it began with, so that it ends with it, whoever changes it. Without
// the token it says nothing about the password.
func passwordMark(token string, user *sdk.User) string { return digest(token + " " + user.Password) }

// seenStep is how exactly the time is kept when a session was last seen.
const seenStep = time.Minute

// SessionCaller returns who is signed in with a token, as they are now. A token that is unknown, expired or ended, or
// whose user is gone or has another password, is a *Refusal with InvalidToken; one whose user may not sign in any more,
// one with AccessDenied.
func (a *Authority) SessionCaller(ctx context.Context, token string) (*Caller, error) {
	q := a.tables.read(ctx)
	row, err := a.tables.adminSessions.get(q, "WHERE token_hash=?", tokenHash(token))
	if errors.Is(err, ErrNotFound) || err == nil && row.ExpiresTime <= a.stamp() {
		return nil, LoginFirst()
	}
	if err != nil {
		return nil, err
	}
	user, err := a.tables.users.get(q, "WHERE id=? AND COALESCE(owner, '')=?", row.UserID, row.Organization)
	if errors.Is(err, ErrNotFound) {
		return nil, LoginFirst()
	}
	if err != nil {
		return nil, err
	}
	mark := passwordMark(token, user)
	if user.Password == "" || !sameSecret(mark, row.PasswordMark) {
		return nil, LoginFirst()
	}
	if err := usable(user); err != nil {
		return nil, err
	}
	if row.SeenTime < timestamp(a.now().Add(-seenStep)) {
		err = a.tables.write(ctx, func(tx *txn) error {
			_, err := tx.exec("UPDATE "+a.tables.adminSessions.name+" SET seen_time=? WHERE token_hash=?",
				a.stamp(), row.TokenHash)
			return err
		})
	}
	return userCaller(user), err
}

// EndSession ends the session of a token. One that is unknown has ended already.
func (a *Authority) EndSession(ctx context.Context, token string) error {
	return a.tables.write(ctx, func(tx *txn) error {
		_, err := tx.exec("DELETE FROM "+a.tables.adminSessions.name+" WHERE token_hash=?", tokenHash(token))
		return err
	})
}
