package object

import (
	"encoding/json"
	"reflect"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// SQLite keeps what it is given, whatever the column's type.
func TestCellsOfOtherKinds(t *testing.T) {
	t.Parallel()
	var row struct {
		Flag  bool
		Bytes []byte
		List  []string
	}
	v := reflect.ValueOf(&row).Elem()
	flag, bytes, list := cell{field: v.Field(0)}, cell{field: v.Field(1)}, cell{field: v.Field(2), json: true}
	for text, want := range map[string]bool{"true": true, "false": false, "1": true, "0": false, "2": true} {
		require.NoError(t, flag.Scan(text), text)
		assert.Equal(t, want, row.Flag, text)
	}
	assert.Error(t, flag.Scan("yes"))
	require.NoError(t, bytes.Scan(int64(12)))
	assert.Equal(t, "12", string(row.Bytes))
	assert.Error(t, list.Scan(int64(1)))
	assert.Error(t, list.Scan(1.5))
	assert.Error(t, list.Scan(`["a",`))
	list.lenient = true
	require.NoError(t, list.Scan(`["a",`))
	assert.True(t, list.spoilt)
	assert.Nil(t, row.List)
}

func TestOddLockout(t *testing.T) {
	t.Parallel()
	app := &sdk.Application{Organization: "shop", FailedSigninLimit: -1, FailedSigninFrozenTime: -1} // as it is masked
	assert.Equal(t, lockout{defaultSigninLimit, defaultFrozenTime}, lockoutOf(app, "shop"))
}

// A null in a list of the user's row is nothing that has a name.
func TestRolesThatAreNull(t *testing.T) {
	t.Parallel()
	var user sdk.User
	require.NoError(t, json.Unmarshal([]byte(`{"roles":[null,{"name":"a"}],"permissions":[null,{"name":"b"}]}`), &user))
	assert.Equal(t, []string{"a"}, roleNames(&user))
	assert.Equal(t, []string{"b"}, permissionNames(&user))
}
