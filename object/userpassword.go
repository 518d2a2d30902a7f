package object

import (
	"context"
	"encoding/base64"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"golang.org/x/crypto/bcrypt"
)

// fillPassword hashes a new password. Hashes are taken as they are only from administrators of built-in, who bring
// users from elsewhere: anybody else could give a user a hash whose password nobody has chosen.
func (a *Authority) fillPassword(ctx context.Context, c *Caller, row, old *sdk.User) error {
	if old != nil && row.Password == old.Password {
		row.PasswordType, row.PasswordSalt = old.PasswordType, old.PasswordSalt
		return nil
	}
	if row.Password == "" {
		row.PasswordType, row.PasswordSalt = "", ""
		return nil
	}
	if isReadyHash(row) {
		if c.Role == Global {
			return nil
		}
		return refuse(AccessDenied, "password: only an administrator of %s may bring hashes", builtInName)
	}
	if _, err := cleanPassword(row.Password); err != nil {
		return refuse(InvalidRequest, "password %s", err)
	}
	hash, err := a.hash(ctx, "", row.Password)
	row.Password, row.PasswordType, row.PasswordSalt = hash, passwordType, ""
	return err
}

// isReadyHash reports whether a user's password is a hash of the type that the user's passwordType names.
func isReadyHash(user *sdk.User) bool {
	switch user.PasswordType {
	case passwordType:
		_, err := bcrypt.Cost([]byte(user.Password))
		return err == nil
	case passwordArgon:
		return strings.HasPrefix(user.Password, "$"+passwordArgon+"$")
	case passwordPBKDF2:
		raw, err := base64.StdEncoding.DecodeString(user.Password)
		return err == nil && len(raw) >= 16
	}
	return false
}
