package test

import (
	"testing"

	"github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/test/harness"
)

// A back end manages providers through casdoor-go-sdk.
func TestManageProviders(t *testing.T) {
	t.Parallel()
	sdk := harness.Start(t, harness.Options{}).SDK()
	p := &casdoorsdk.Provider{
		Name: "second", Category: "OAuth", Type: "WeChatMiniProgram", ClientId: "wx2", ClientSecret: "secret-2",
	}
	added, err := sdk.AddProvider(p)
	require.NoError(t, err)
	assert.True(t, added)
	_, err = sdk.AddProvider(p)
	require.EqualError(t, err, "The provider: shop/second already exists")

	found, err := sdk.GetProvider("second")
	require.NoError(t, err)
	assert.Equal(t, "***", found.ClientSecret)
	found.DisplayName = "Second 🐼"
	updated, err := sdk.UpdateProvider(found)
	require.NoError(t, err)
	assert.True(t, updated)
	page, total, err := sdk.GetPaginationProviders(1, 10, map[string]string{"field": "name", "value": "sec"})
	require.NoError(t, err)
	assert.Equal(t, 1, total)
	require.Len(t, page, 1)
	assert.Equal(t, "Second 🐼", page[0].DisplayName)

	deleted, err := sdk.DeleteProvider(p)
	require.NoError(t, err)
	assert.True(t, deleted)
	deleted, err = sdk.DeleteProvider(p)
	require.NoError(t, err)
	assert.False(t, deleted)
}
