package object

import (
	"context"
	"errors"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// PasswordChange is a new password for a user, and their old one where somebody changes their own.
type PasswordChange struct{ Owner, Name, Old, New string }

// SetPassword gives a user a new password, and ends the sessions that the old one began. Whoever changes their own must
// know the old one, if they have one; wrong ones are counted as at a sign-in. Users who are no admins need the account
// items' leave, as in UpdateAccount. What is wrong is a *Refusal.
func (a *Authority) SetPassword(ctx context.Context, c *Caller, in PasswordChange) error {
	user, err := a.userFor(ctx, c, "set-password", in.Owner, in.Name)
	if err != nil {
		return err
	}
	if err := a.mayChoose(ctx, c, user, in.New); err != nil {
		return err
	}
	own := c.UserID != "" && c.UserID == user.Id
	if own && user.Password != "" || in.Old != "" {
		if _, err := a.checkFor(ctx, c, user.Owner, user.Name, in.Old); err != nil {
			return err
		}
	}
	if err := newPassword(in); err != nil {
		return err
	}
	if user.Password, err = a.hash(ctx, c.UserID, in.New); err != nil {
		return err
	}
	user.PasswordType, user.PasswordSalt = passwordType, ""
	user.NeedUpdatePassword, user.LastChangePasswordTime, user.UpdatedTime = false, a.stamp(), a.stamp()
	return a.tables.write(ctx, func(tx *txn) error {
		if _, err := a.tables.users.update(tx, user, []string{
			"password", "password_type", "password_salt", "need_update_password", "last_change_password_time", "updated_time",
		}, byName+" AND id=?", user.Owner, user.Name, user.Id); err != nil {
			return err
		}
		if err := a.forgive(tx, a.rowCounter(user)); err != nil {
			return err
		}
		if err := a.endAdminSessions(tx, user); err != nil {
			return err
		}
		return a.recordChange(tx, c, "set-password", user.GetId())
	})
}

// mayChoose refuses a password that the account items do not let users who are no admins have.
func (a *Authority) mayChoose(ctx context.Context, c *Caller, user *sdk.User, password string) error {
	if c.Role != Member {
		return nil
	}
	org, err := a.settings.organization(ctx, user.Owner)
	if err != nil {
		return err
	}
	return a.profileRules(org).allow("password", password)
}

func newPassword(in PasswordChange) error {
	if strings.Contains(in.New, " ") {
		return refuse(InvalidRequest, "New password cannot contain blank space.")
	}
	if in.New == in.Old {
		return refuse(InvalidRequest, "The new password must be different from your current password")
	}
	if _, err := cleanPassword(in.New); err != nil {
		return refuse(InvalidRequest, "The new password %s", err)
	}
	return nil
}

// CheckUserPassword reports, as a *Refusal, that a password is not the user's, or that the user may not sign in.
func (a *Authority) CheckUserPassword(ctx context.Context, c *Caller, owner, name, password string) error {
	whose := home{organization: owner}
	if c.Organization == owner && c.Name == name {
		whose.userID = c.UserID
	}
	if err := c.check("check-user-password", whose); err != nil {
		return err
	}
	user, err := a.checkFor(ctx, c, owner, name, password)
	if err != nil {
		return err
	}
	return usable(user)
}

// userFor returns a user if the caller may do something to them. That there is none is told to those only who may do so
// to all of the organization.
func (a *Authority) userFor(ctx context.Context, c *Caller, action, owner, name string) (*sdk.User, error) {
	user, err := a.tables.users.named(a.tables.read(ctx), owner, name)
	if errors.Is(err, ErrNotFound) {
		if err := c.check(action, home{organization: owner}); err != nil {
			return nil, err
		}
		return nil, &Refusal{Code: InvalidRequest, Message: "The user: " + owner + "/" + name + " doesn't exist", Err: err}
	}
	if err != nil {
		return nil, err
	}
	return user, c.check(action, home{organization: user.Owner, userID: user.Id})
}
