package object

import (
	"database/sql/driver"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A refresh whose commit is done, but whose answer is lost, is done; one that was not committed is not.
func TestRotateWithALostAnswer(t *testing.T) {
	t.Parallel()
	for name, committed := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStore(t)
			a := newTestService(t, s, ServiceConfig{})
			row := &sdk.Token{Owner: "admin", Name: "family", RefreshTokenHash: tokenHash("first"), ExpiresIn: 1}
			require.NoError(t, s.write(t.Context(), func(tx *txn) error { return s.insertToken(tx, row) }))
			s.commits.close()
			s.commits = newQueue(1, 1, func(batch []*job[func(*txn) error]) {
				if committed {
					assert.NoError(t, s.writes.transact(t.Context(), batch[0].ask))
				}
				batch[0].done <- driver.ErrBadConn
			})
			next := *row
			next.RefreshToken, next.RefreshTokenHash = "second", tokenHash("second")
			err := a.rotate(t.Context(), &next, tokenHash("first"))
			if committed {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, driver.ErrBadConn)
			}
		})
	}
}
