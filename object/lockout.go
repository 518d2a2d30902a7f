package object

import (
	"cmp"
	"context"
	"errors"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Who tries passwords has a few chances, and then has to wait: as in Casdoor the user's own row counts, so that all
// instances and a Casdoor beside count together. A chance is taken before the password is looked at, and given back
// when it was right; so many guesses at once have no more chances than one after the other. Names that nobody has are
// counted in the same way in a table of ours: nobody learns from the chances who exists. For that, too, the settings
// are those of the application that is signed in to, and not, as in Casdoor, of the one that the user signed up to: who
// does not exist has signed up nowhere. Anybody can use up the chances of a name; so a browser that the user has signed
// in with has chances of its own (knownbrowser.go).

// Attempt counts the wrong passwords for a name that no user has, or from one browser.
type Attempt struct {
	NameHash    string `xorm:"varchar(64) notnull pk"` // with the organization's; what was typed may be a password
	Times       int    `xorm:"notnull"`
	WrongTime   string `xorm:"varchar(100) notnull"` // as Casdoor's last_signin_wrong_time
	UpdatedTime string `xorm:"varchar(30) notnull index"`
}

// Casdoor's defaults.
const (
	defaultSigninLimit = 5
	defaultFrozenTime  = 15 // minutes
)

// lockout is how many chances there are, and how many minutes to wait when they are used up.
type lockout struct{ limit, minutes int }

// lockoutOf returns the settings of an application for users of an organization, or Casdoor's defaults where none is
// signed in to, or one of another organization, which shares it: that one's admins must not say how often others may be
// tried.
func lockoutOf(app *sdk.Application, organization string) lockout {
	l := lockout{defaultSigninLimit, defaultFrozenTime}
	if app != nil && (app.Organization == organization || app.Organization == builtInName) {
		l.limit = cmp.Or(max(app.FailedSigninLimit, 0), l.limit)
		l.minutes = cmp.Or(max(app.FailedSigninFrozenTime, 0), l.minutes)
	}
	return l
}

// take takes a chance from what was counted, and returns how many are left; or how many minutes to wait, and then it
// takes none. A wrong password of the future is one of now: nobody waits for that time to come.
func (l lockout) take(now time.Time, times *int, wrong *string) (left, wait int) {
	if *times >= l.limit {
		since, _ := time.Parse(time.RFC3339, *wrong) // a malformed one is long ago
		if since.After(now) {                        // a clock was wrong
			since, *wrong = now, timestamp(now)
		}
		if wait = l.minutes - int(now.Sub(since)/time.Minute); wait > 0 {
			return 0, wait
		}
		*times = 0
	}
	// Casdoor notes the time of the last chance only. Here another application, with fewer chances, may ask for it.
	*times, *wrong = *times+1, timestamp(now)
	return l.limit - *times, 0
}

// counter is where wrong passwords are counted.
type counter struct {
	user *sdk.User // in this user's row
	key  string    // where user is nil: of an Attempt
}

// counterOf returns where a wrong password counts; user is whose login it is, or nil.
func (a *Authority) counterOf(in PasswordSignIn, user *sdk.User) counter {
	if user == nil {
		return counter{key: digest("name " + in.Organization + "/" + a.tables.dialect.sameLogin(in.Username))}
	}
	if key, known := a.browserKey(in.Browser, user); known {
		return counter{key: key}
	}
	return a.rowCounter(user)
}

// rowCounter returns where the wrong passwords of those are counted who come from anywhere.
func (a *Authority) rowCounter(user *sdk.User) counter {
	if !a.tables.users.has(wrongTimes, wrongTime) { // in a Casdoor that is too old to count
		return counter{key: digest("id " + user.Id)}
	}
	return counter{user: user}
}

// chance takes one of the chances that are left. Its error is a *Refusal when none is.
func (a *Authority) chance(ctx context.Context, l lockout, c counter) (left int, err error) {
	var wait int
	err = a.tables.write(ctx, func(tx *txn) (err error) {
		if c.user == nil {
			left, wait, err = a.takeAttempt(tx, l, c.key)
		} else {
			left, wait, err = a.takeChance(tx, l, c.user)
		}
		return err
	})
	if err == nil && wait > 0 {
		err = frozen(wait)
	}
	return left, err
}

func frozen(minutes int) *Refusal {
	return refuse(AccessDenied,
		"You have entered the wrong password or code too many times, please wait for %d minutes and try again", minutes)
}

// checkFor is checkPassword with the settings of the application that asks, whose users may be signing in to it so.
func (a *Authority) checkFor(ctx context.Context, c *Caller, organization, login, password string) (*sdk.User, error) {
	var app *sdk.Application
	if c.UserID == "" {
		var err error
		app, err = a.tables.applications.named(a.tables.read(ctx), adminOwner, c.Name)
		if ignoreMissing(err) != nil {
			return nil, err
		}
	}
	done, err := a.oneHash(c.UserID)
	if err != nil {
		return nil, err
	}
	defer done()
	in := PasswordSignIn{Organization: organization, Username: login, Password: password}
	return a.checkPassword(ctx, lockoutOf(app, organization), in)
}

const wrongTimes, wrongTime = "signin_wrong_times", "last_signin_wrong_time"

func (a *Authority) takeChance(tx *txn, l lockout, user *sdk.User) (left, wait int, err error) {
	users := a.tables.users
	row, err := users.get(tx, "WHERE "+byName+users.dialect.forUpdate, user.Owner, user.Name)
	if errors.Is(err, ErrNotFound) {
		return 0, 0, wrongPassword(0) // deleted just now
	}
	if err != nil {
		return 0, 0, err
	}
	left, wait = l.take(a.now(), &row.SigninWrongTimes, &row.LastSigninWrongTime)
	_, err = users.update(tx, row, []string{wrongTimes, wrongTime}, byName, user.Owner, user.Name)
	return left, wait, err
}

func (a *Authority) takeAttempt(tx *txn, l lockout, key string) (left, wait int, err error) {
	attempts := a.tables.attempts
	row := &Attempt{NameHash: key, UpdatedTime: a.stamp()}
	// It must be there for it to be locked.
	if _, err := attempts.insert(tx, row, attempts.dialect.orIgnore("name_hash")); err != nil {
		return 0, 0, err
	}
	if row, err = attempts.get(tx, "WHERE name_hash=?"+attempts.dialect.forUpdate, key); err != nil {
		return 0, 0, err
	}
	left, wait = l.take(a.now(), &row.Times, &row.WrongTime)
	row.UpdatedTime = a.stamp()
	_, err = attempts.update(tx, row, []string{"times", "wrong_time", "updated_time"}, "name_hash=?", key)
	return left, wait, err
}

// forgive gives all chances back. The time of the last wrong password is what it was when the user was read: a right
// one has taken a chance, too.
func (a *Authority) forgive(tx *txn, c counter) (err error) {
	if c.user == nil {
		_, err = tx.exec("DELETE FROM "+a.tables.attempts.name+" WHERE name_hash=?", c.key)
		return err
	}
	row := &sdk.User{LastSigninWrongTime: c.user.LastSigninWrongTime}
	_, err = a.tables.users.update(tx, row, []string{wrongTimes, wrongTime}, byName, c.user.Owner, c.user.Name)
	return err
}

func wrongPassword(left int) *Refusal {
	return refuse(AccessDenied, "password or code is incorrect, you have %d remaining chances", left)
}
