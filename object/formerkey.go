package object

import (
	"slices"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
)

// keyUse is how an application signs its tokens, or has signed those that still live. It names the cert's owner, too: a
// cert that is deleted may be followed by another organization's of its name.
type keyUse struct {
	Owner  string    `json:"owner"`
	Cert   string    `json:"cert"`
	Method string    `json:"method,omitempty"` // the application's tokenSigningMethod
	Until  time.Time `json:"until"`            // when the last of the tokens ends; the zero time: it goes on
}

// same reports whether two uses are one, whenever they end.
func (u keyUse) same(other keyUse) bool {
	u.Until = other.Until
	return u == other
}

// keyUseOf returns how an application signs now, or ErrNotFound where its cert is missing.
func (s *Store) keyUseOf(q querier, app *sdk.Application) (keyUse, error) {
	cert, err := s.certFor(q, CertOf(app), app.Organization)
	if err != nil {
		return keyUse{}, err
	}
	return keyUse{Owner: cert.Owner, Cert: cert.Name, Method: app.TokenSigningMethod}, nil
}

// maxFormerKeys bounds what is remembered of an application: a text of MySQL's holds as much, whatever the names.
const maxFormerKeys = 50

// formerState names the State of an application's former keys.
func formerState(application string) string { return "former-keys/" + digest(application) }

// formerKeys returns how an application has signed tokens that may still live.
func (s *Store) formerKeys(q querier, application string, now time.Time) ([]keyUse, error) {
	var former []keyUse
	err := s.loadState(q, formerState(application), "", &former)
	return slices.DeleteFunc(former, func(u keyUse) bool { return !now.Before(u.Until) }), ignoreMissing(err)
}

// rememberKeys keeps in mind how an application has signed until now, where that changes or its tokens' lives do: those
// who verify with its keys alone need the former ones until the last token has ended. They follow a new name.
func (s *Store) rememberKeys(tx *txn, row, old *sdk.Application, now time.Time) error {
	if row.Name == old.Name && signsAlike(row, old) {
		return nil
	}
	former, err := s.formerKeys(tx, old.Name, now)
	if err != nil {
		return err
	}
	last, err := s.keyUseOf(tx, old)
	if ignoreMissing(err) != nil {
		return err
	}
	if err == nil && !signsAlike(row, old) {
		// Another instance may sign so until it sees the change.
		last.Until = now.Add(TokenLife(old) + settingsTTL).UTC()
		former = withFormer(former, last)
	}
	if row.Name != old.Name {
		if err := s.forgetKeys(tx, old); err != nil {
			return err
		}
	}
	return s.storeFormerKeys(tx, row.Name, former, now)
}

// signsAlike reports whether an application's tokens are signed as before, and live as long.
func signsAlike(row, old *sdk.Application) bool {
	return CertOf(row) == CertOf(old) && row.Organization == old.Organization &&
		row.TokenSigningMethod == old.TokenSigningMethod &&
		row.ExpireInHours == old.ExpireInHours && row.RefreshExpireInHours == old.RefreshExpireInHours
}

// withFormer adds a use, or has it end later.
func withFormer(former []keyUse, last keyUse) []keyUse {
	if i := slices.IndexFunc(former, last.same); i >= 0 {
		if last.Until.Before(former[i].Until) {
			last.Until = former[i].Until
		}
		former = slices.Delete(former, i, i+1)
	}
	former = append(former, last)
	return former[max(0, len(former)-maxFormerKeys):]
}

func (s *Store) storeFormerKeys(tx *txn, application string, former []keyUse, now time.Time) error {
	if len(former) == 0 {
		return nil
	}
	return s.storeState(tx, formerState(application), former, timestamp(now))
}

// forgetKeys forgets how an application has signed: another one may get its name.
func (s *Store) forgetKeys(tx *txn, app *sdk.Application) error {
	return s.dropState(tx, formerState(app.Name))
}
