package object

import (
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/testclock"
)

// A token that is refreshed after the sweep has read its row, and found it expired, stays.
func TestSweepSparesWhatIsRenewed(t *testing.T) {
	t.Parallel()
	store, clock := openStore(t), testclock.At(time.Now())
	made := timestamp(clock.Now())
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		for range 3 {
			row := &sdk.Token{Owner: adminOwner, Name: newID(), CreatedTime: made, Application: "gone", ExpiresIn: 3600}
			if _, err := store.tokens.insert(tx, row, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	clock.Advance(365 * 24 * time.Hour)
	sweep, err := NewSweeper(store, SweeperConfig{Now: clock.Now}).tokenSweep(t.Context())
	require.NoError(t, err)
	rows, err := sweep.rows(t.Context(), adminOwner, "")
	require.NoError(t, err)
	require.Len(t, rows, 3)
	for _, row := range rows {
		assert.True(t, sweep.expired(adminOwner, row))
	}
	renewed := &sdk.Token{CreatedTime: timestamp(clock.Now())}
	require.NoError(t, store.write(t.Context(), func(tx *txn) error {
		_, err := store.tokens.update(tx, renewed, []string{"created_time"}, byName, adminOwner, rows[1].name)
		return err
	}))
	deleted, err := sweep.delete(t.Context(), adminOwner, rows)
	require.NoError(t, err)
	assert.EqualValues(t, 2, deleted)
	left, err := store.tokens.find(store.read(t.Context()), "")
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, rows[1].name, left[0].Name)
}
