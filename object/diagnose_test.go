package object

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// slowProvider takes a second to say that its settings are right.
type slowProvider struct {
	rememberingProvider
	asked *atomic.Int64
}

func (p *slowProvider) Diagnose(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		p.asked.Add(1)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A platform that is slow has hundreds of providers tried in the time of a few, and they are told of in their order.
func TestManyProvidersAreTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		registry, err := provider.NewRegistry(provider.Platform{
			Type: "Slow", Tag: "slow", New: func(provider.Config) (provider.Provider, error) {
				return &slowProvider{asked: &asked}, nil
			},
		})
		require.NoError(t, err)
		var rows []*sdk.Provider
		for i := range 200 {
			rows = append(rows, &sdk.Provider{Owner: "admin", Name: fmt.Sprint("mp", i), Type: "Slow"},
				&sdk.Provider{Owner: "admin", Name: "other", Type: "Other"})
		}
		begin := time.Now()
		found := diagnoseAll(t.Context(), registry, rows)
		assert.Equal(t, 25*time.Second, time.Since(begin))
		assert.EqualValues(t, 200, asked.Load())
		for i, f := range found {
			if i%2 == 1 {
				assert.Zero(t, f)
				continue
			}
			assert.Equal(t, Finding{Fine, fmt.Sprintf("provider admin/mp%d, AppID : the platform accepts it", i/2)}, f)
		}
	})
}
