package object

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// Delete deletes the principal's account, softly or wholly as the organization says, once a fresh code of wx.login
// proves that its owner asks. All tokens are dead when it returns. After a soft deletion the same person is refused;
// after the other one they may sign up anew. appID chooses among several mini programs; empty: the last one.
func (s *Service) Delete(ctx context.Context, p *Principal, appID, code string) error {
	m, err := s.sessionMember(ctx, p, appID)
	if err != nil {
		return err
	}
	if p.User.IsAdmin {
		return refuse(AccessDenied, "an administrator's account is deleted by another administrator")
	}
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return err
	}
	// A client that leaves does not stop what the platform counts, as in SignIn.
	session, err := m.upstream.Exchange(context.WithoutCancel(ctx), code)
	if err != nil {
		return err
	}
	if session.OpenID != m.identity.OpenID {
		return refuse(AccessDenied, "the code is another user's")
	}
	tokens, err := s.tokensOf(ctx, p.User.Owner, p.User.Name, 0)
	if err != nil {
		return err
	}
	defer s.tidy(ctx, p.User.Id)
	return s.tables.write(ctx, func(tx *txn) error {
		user, err := s.tables.userByID(tx, p.User.Owner, p.User.Id)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.deleteUser(tx, user, org.EnableSoftDeletion); err != nil {
			return err
		}
		if err := s.tables.deleteTokens(tx, tokens); err != nil {
			return err
		}
		return s.tables.storeRecord(tx, deleteRecord(p, s.stamp()))
	})
}

// deleteUser deletes a user, or marks them as deleted and keeps no more of them than that.
func (s *Service) deleteUser(tx *txn, user *sdk.User, soft bool) error {
	if err := s.deleteTraces(tx, user); err != nil {
		return err
	}
	if err := s.tables.leaveGroups(tx, user); err != nil {
		return err
	}
	if !soft {
		return s.tables.deleteRow(tx, user)
	}
	columns := append(s.emptyUser(user), "is_deleted", "deleted_time")
	user.IsDeleted, user.DeletedTime = true, s.stamp()
	return s.tables.rewrite(tx, user, columns, s.stamp())
}

// deleteRow deletes a user and all that says who they are.
func (t *tables) deleteRow(tx *txn, user *sdk.User) error {
	// The identities tell the user's UnionIDs: the table of those has no index by user.
	rows, err := t.identities.find(tx, "WHERE user_id=?", user.Id)
	if err != nil {
		return err
	}
	for _, identity := range rows {
		if _, err := tx.exec("DELETE FROM "+t.unions.name+" WHERE organization=? AND union_id=? AND user_id=?",
			identity.Organization, identity.UnionID, user.Id); err != nil {
			return err
		}
	}
	for _, table := range []string{t.identities.name, t.conflicts.name} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE user_id=?", user.Id); err != nil {
			return err
		}
	}
	_, err = tx.exec("DELETE FROM "+t.users.name+" WHERE "+byName, user.Owner, user.Name)
	return err
}

// impersonalColumns are what stays of a user who is emptied, beside the OpenID: what the row is, and what the books
// need.
const impersonalColumns = `owner name id type created_time updated_time deleted_time signup_application register_type
tag groups roles permissions score karma ranking balance balance_credit currency balance_currency
is_admin is_forbidden is_deleted properties`

// emptyUser clears whatever a user's row holds of a person, but for the OpenID, and returns the columns to write.
func (s *Service) emptyUser(user *sdk.User) []string {
	kept := strings.Fields(impersonalColumns)
	var personal []string
	for _, column := range s.tables.users.columnNames() {
		if _, ours := s.registry.ByPrefix(column); !ours && !slices.Contains(kept, column) {
			personal = append(personal, column)
		}
	}
	columns := s.tables.users.clear(user, personal...)
	before := len(user.Properties)
	maps.DeleteFunc(user.Properties, func(name, _ string) bool {
		return !s.isPlatforms(name, openIDProperty, unionIDProperty)
	})
	if len(user.Properties) < before {
		columns = append(columns, "properties")
	}
	return columns
}

// deleteTraces deletes a user's sessions of both kinds, lines of the log and Marks, and drops the uploads.
func (s *Service) deleteTraces(tx *txn, user *sdk.User) error {
	t := s.tables
	identities, err := t.identities.find(tx, "WHERE user_id=?", user.Id)
	if err != nil {
		return err
	}
	for _, i := range identities {
		if _, err := tx.exec("DELETE FROM "+t.sessions.name+" WHERE organization=? AND app_id=? AND open_id=?",
			i.Organization, i.AppID, i.OpenID); err != nil {
			return err
		}
	}
	if err := t.dropAllUploads(tx, user.Id); err != nil {
		return err
	}
	if _, err := tx.exec("DELETE FROM "+t.logs.name+" WHERE organization=? AND user_name=?",
		user.Owner, user.Name); err != nil {
		return err
	}
	if err := s.rememberLines(tx, user); err != nil {
		return err
	}
	for _, table := range []string{t.marks.name, t.adminSessions.name} {
		if _, err := tx.exec("DELETE FROM "+table+" WHERE user_id=?", user.Id); err != nil {
			return err
		}
	}
	return nil
}
