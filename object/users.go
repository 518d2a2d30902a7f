package object

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Users are looked after by the admins and applications of their organization. What users may change of themselves is
// UpdateAccount's.
func (a *Authority) Users() *Family[sdk.User] {
	return &Family[sdk.User]{a, a.tables.users, trait[sdk.User]{
		name:       "user",
		home:       func(u *sdk.User) home { return home{organization: u.Owner, userID: u.Id} },
		id:         func(u *sdk.User) *rowID { return &rowID{&u.Owner, &u.Name} },
		homeColumn: "owner",
		secrets:    []string{"password"},
		hidden:     hiddenColumns(),
		kept:       []string{"password"}, // SDKs' objects of a user are made with an empty one
		large:      true,
		sorted:     []string{"created_time", "name"},
		seek:       a.seekUsers,
		show: func(_ context.Context, _ *Caller, row *sdk.User, _ bool) error {
			*row = *publicUser(row)
			return nil
		},
		fill: a.fillUser,
		guard: func(row, old *sdk.User) []string {
			switch {
			case old == nil: // the id is to be free in all organizations
				return []string{builtInName, row.Owner}
			case row != nil && getsEmail(row, old):
				return []string{row.Owner}
			}
			return nil
		},
		judge:  a.judgeUser,
		follow: a.followUser,
		deletable: func(_ querier, c *Caller, row *sdk.User) error {
			if row.Owner == builtInName && row.Name == builtInAdmin || row.Id == c.UserID {
				return refuse(InvalidRequest, "this administrator cannot be deleted")
			}
			return nil
		},
		erase:   a.eraseUser,
		changed: a.wake, // files of a former avatar go
	}}
}

// hiddenColumns are those that publicUser hides. Some prove who the user is: see provingColumns.
func hiddenColumns() []string {
	return append([]string{"password_salt", "hash", "pre_hash"}, provingColumns()...)
}

// provingColumns are columns by which users prove who they are, beside the password. Only an administrator of built-in
// sets them: whoever looks after users must not be able to be one of them.
func provingColumns() []string {
	return []string{
		"totp_secret", "access_token", "original_token", "original_refresh_token", "recovery_codes", "managedAccounts",
		"mfaAccounts", "face_ids", "webauthnCredentials",
	}
}

// fillUser completes and judges a user.
func (a *Authority) fillUser(ctx context.Context, c *Caller, row, old *sdk.User) error {
	if c.Role == Member {
		return NotAllowed() // fields of the own account are UpdateAccount's
	}
	if err := a.fillPassword(ctx, c, row, old); err != nil {
		return err
	}
	if old == nil {
		if err := a.completeNewUser(ctx, c, row); err != nil {
			return err
		}
		old = &sdk.User{Owner: row.Owner, Id: row.Id}
	} else if err := errors.Join(a.keepWhatStays(c, row, old), a.keepAvatar(ctx, row, old)); err != nil {
		return err
	}
	a.keepIdentity(row, old)
	is, was := reflect.ValueOf(row).Elem(), reflect.ValueOf(old).Elem()
	for _, column := range a.tables.users.pick(provingColumns()...) {
		proof, before := is.FieldByIndex(column.field), was.FieldByIndex(column.field)
		if c.Role != Global && !isBlank(proof) && !reflect.DeepEqual(proof.Interface(), before.Interface()) {
			return refuse(AccessDenied, "%s can be set by an administrator of %s only", column.name, builtInName)
		}
	}
	return checkContacts(row, old)
}

// keepAvatar keeps the avatar where the row was read before the user sent a new one, and has the former address.
func (a *Authority) keepAvatar(ctx context.Context, row, old *sdk.User) error {
	if row.Avatar == old.Avatar {
		return nil
	}
	former, err := a.isFormer(ctx, row.Avatar)
	if former {
		row.Avatar = old.Avatar
	}
	return err
}

// completeNewUser gives a new user what every user has.
func (a *Authority) completeNewUser(ctx context.Context, c *Caller, row *sdk.User) error {
	org, err := a.settings.organization(ctx, row.Owner)
	if errors.Is(err, ErrNotFound) {
		return refuse(InvalidRequest, "the organization %s does not exist", row.Owner)
	}
	if err != nil {
		return err
	}
	row.Id = cmp.Or(row.Id, newID())
	row.Type = cmp.Or(row.Type, normalUser)
	row.CreatedTime = cmp.Or(row.CreatedTime, a.stamp())
	row.UpdatedTime = cmp.Or(row.UpdatedTime, a.stamp())
	row.Avatar = cmp.Or(row.Avatar, org.DefaultAvatar)
	row.BalanceCurrency = cmp.Or(row.BalanceCurrency, org.BalanceCurrency, defaultCurrency)
	row.RegisterType = cmp.Or(row.RegisterType, "Add User")
	row.RegisterSource = cmp.Or(row.RegisterSource, c.Organization+"/"+c.Name)
	row.Score = cmp.Or(row.Score, org.InitScore)
	row.Roles, row.Permissions = nil, nil // Casdoor derives them from rows that we do not have
	return nil
}

// keepWhatStays refuses changes of what tokens, identities and sealed keys go by, and of the own rights.
func (a *Authority) keepWhatStays(c *Caller, row, old *sdk.User) error {
	row.Id = cmp.Or(row.Id, old.Id)
	row.Type = cmp.Or(row.Type, old.Type)
	row.Roles, row.Permissions = old.Roles, old.Permissions
	switch {
	case row.Id != old.Id:
		return refuse(AccessDenied, "The ID is immutable.")
	case row.Owner != old.Owner:
		return refuse(AccessDenied, "The owner is immutable: a user stays in the organization")
	case old.Id == c.UserID && (!row.IsAdmin || row.IsForbidden || row.IsDeleted):
		return refuse(InvalidRequest, "administrators cannot take their own rights away")
	}
	if !reflect.DeepEqual(row, old) {
		row.UpdatedTime = a.stamp()
	}
	return nil
}

// keepIdentity keeps the properties that say what a platform has told of the user: they are ours to set.
func (a *Authority) keepIdentity(row, old *sdk.User) {
	ours := func(name, _ string) bool { return a.isPlatforms(name, openIDProperty, unionIDProperty, phoneVerified) }
	properties := maps.Clone(row.Properties)
	maps.DeleteFunc(properties, ours)
	if properties == nil {
		properties = map[string]string{}
	}
	for name, value := range old.Properties {
		if ours(name, value) {
			properties[name] = value
		}
	}
	if row.Properties != nil || len(properties) > 0 || old.Properties == nil {
		row.Properties = properties
	}
}

var phonePattern = regexp.MustCompile(`^\+?[0-9][0-9 ()-]{2,28}[0-9]$`)

// checkContacts refuses what cannot be an e-mail address or a phone number. What was there before stays.
func checkContacts(row, old *sdk.User) error {
	if row.Email != old.Email {
		email, err := cleanEmail(row.Email)
		if err != nil {
			return refuse(InvalidRequest, "email %s", err)
		}
		row.Email = email
		if row.EmailVerified == old.EmailVerified && old.Email != "" {
			row.EmailVerified = false
		}
	}
	if row.Phone != old.Phone && row.Phone != "" && !phonePattern.MatchString(row.Phone) {
		return refuse(InvalidRequest, "phone must be a phone number")
	}
	if row.DisplayName != old.DisplayName {
		name, err := cleanText(row.DisplayName)
		if err != nil {
			return refuse(InvalidRequest, "displayName %s", err)
		}
		row.DisplayName = name
	}
	return nil
}

// getsEmail reports whether a user gets an e-mail address, or another one.
func getsEmail(row, old *sdk.User) bool {
	return row.Email != "" && (old == nil || row.Email != old.Email)
}

// judgeUser refuses an e-mail address that another user has and, for a new user, an id that one has: it is what tokens
// and identities go by.
func (a *Authority) judgeUser(tx *txn, _ *Caller, row, old *sdk.User) error {
	if getsEmail(row, old) {
		if err := a.tables.freeEmail(tx, row); err != nil {
			return err
		}
	}
	if old != nil {
		return nil
	}
	err := refuseIf(tx, refuse(InvalidRequest, "another user has this id"), a.tables.users.name+" WHERE id=?", row.Id)
	if err != nil {
		return err
	}
	// What is left of a user who had the id must not come to another one.
	return refuseIf(tx, refuse(InvalidRequest, "another user has had this id"),
		a.tables.identities.name+" WHERE user_id=?", row.Id)
}

// followUser has tokens, uploads, marks and lines of the log follow a change.
func (a *Authority) followUser(tx *txn, row, old *sdk.User) error {
	t := a.tables
	if row.Avatar != old.Avatar {
		if err := t.dropUploads(tx, row.Id, row.Avatar); err != nil {
			return err
		}
	}
	if row.DisplayName != old.DisplayName {
		if err := t.storeMark(tx, Mark{UserID: row.Id, Field: nicknameField}); err != nil { // somebody has looked at it
			return err
		}
	}
	if row.Name == old.Name {
		return nil
	}
	if _, err := tx.exec("UPDATE "+t.logs.name+" SET user_name=? WHERE organization=? AND user_name=?",
		row.Name, old.Owner, old.Name); err != nil {
		return err
	}
	if t.resources != nil {
		if _, err := tx.exec("UPDATE "+t.resources.name+" SET "+t.dialect.quote("user")+"=? WHERE owner=? AND "+
			t.dialect.quote("user")+"=?", row.Name, old.Owner, old.Name); err != nil {
			return err
		}
	}
	tokens, err := t.tokensIn(tx, old.Owner, old.Name, 0)
	if err != nil {
		return err
	}
	return t.onTokens(tx, tokens, "UPDATE "+t.tokens.name+" SET "+t.dialect.quote("user")+"=?", row.Name)
}

// eraseUser deletes a user with all that says who they are, softly or wholly as the organization says.
func (a *Authority) eraseUser(tx *txn, row *sdk.User) error {
	org, err := a.tables.organizations.named(tx, adminOwner, row.Owner)
	if ignoreMissing(err) != nil {
		return err
	}
	tokens, err := a.tables.tokensIn(tx, row.Owner, row.Name, 0)
	if err != nil {
		return err
	}
	if err := a.deleteUser(tx, row, org != nil && org.EnableSoftDeletion); err != nil {
		return err
	}
	return a.tables.deleteTokens(tx, tokens)
}

// UpdateUserByID is Users().Update for the user with that id.
func (a *Authority) UpdateUserByID(
	ctx context.Context, c *Caller, owner, id string, columns []string, object json.RawMessage,
) (bool, error) {
	user, err := a.FindUser(ctx, c, owner, "id", id)
	if err != nil {
		return false, ignoreMissing(err)
	}
	return a.Users().Update(ctx, c, user.Owner, user.Name, columns, object)
}

// FindUser returns the user of an organization whose field has that value: name, id, email, phone or wechat, which is
// the OpenID. Of several who share a phone number it is the one who was there first.
func (a *Authority) FindUser(ctx context.Context, c *Caller, owner, field, value string) (*sdk.User, error) {
	users := a.Users()
	if field == "name" {
		return users.Get(ctx, c, owner, value)
	}
	if !slices.Contains([]string{"id", "email", "phone", "wechat"}, field) {
		return nil, refuse(InvalidRequest, "users cannot be found by %.40q", field)
	}
	if err := users.open(c, "get-user"); err != nil {
		return nil, err
	}
	if owner == "" {
		owner = c.Organization // casdoor-python-sdk names none
	}
	if value == "" {
		return nil, users.missing(c, "get-user", owner, "", ErrNotFound)
	}
	// MySQL takes a blank, and some characters, for the empty text, which most users have.
	where := condition{field + "=? AND " + field + "<>''", []any{value}}
	switch field {
	case "email":
		where = condition{"email IN (?, ?) AND email<>''", []any{value, strings.ToLower(value)}}
	case "wechat":
		var err error
		if where, err = a.byOpenID(ctx, owner, value); err != nil {
			return nil, err
		}
	}
	row, err := users.table.get(a.tables.read(ctx), "WHERE "+where.text+" AND COALESCE(owner, '')=? "+
		"ORDER BY created_time, name LIMIT 1", append(where.args, owner)...)
	if err != nil {
		return nil, users.missing(c, "get-user", owner, "", err)
	}
	if err := c.check("get-user", users.home(row)); err != nil {
		return nil, err
	}
	return row, users.present(ctx, c, row, false)
}
