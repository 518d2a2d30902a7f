package object

import (
	"context"
	"sync"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// interrupted is a directory in which something happens before it stores the first sign-in.
type interrupted struct {
	directory
	once sync.Once
	by   func()
}

func (i *interrupted) admit(ctx context.Context, p *person, changed []string, token *sdk.Token) error {
	i.once.Do(i.by)
	return i.directory.admit(ctx, p, changed, token)
}

// A sign-in whose user has changed since the look at them looks again, and gives out no token that nobody could use.
func TestSignInOfUserWhoChanges(t *testing.T) {
	t.Parallel()
	platform := &oneUser{}
	a, p := signInAt(t, platform)
	client, err := a.Client(t.Context(), "app")
	require.NoError(t, err)
	inner := a.directory
	signIn := func(nickname, change string, args ...any) (*Token, error) {
		a.directory = &interrupted{directory: inner, by: func() {
			require.NoError(t, a.tables.write(t.Context(), func(tx *txn) error {
				_, err := tx.exec(change, args...)
				return err
			}))
		}}
		return a.SignIn(t.Context(), SignInRequest{Client: client, Tag: "test", Code: "code", Nickname: nickname})
	}
	users := a.tables.users.name

	token, err := signIn("first", "UPDATE "+users+" SET name='renamed' WHERE name LIKE '%oMe'")
	require.NoError(t, err)
	assert.False(t, token.NewUser)
	renamed, err := a.Authenticate(t.Context(), token.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, p.User.Id, renamed.User.Id)
	assert.Equal(t, "first", renamed.User.DisplayName)

	platform.unionID = "uMe"
	_, err = signIn("", "UPDATE "+users+" SET properties=? WHERE id=?", `{"tier":"gold"}`, p.User.Id)
	require.NoError(t, err)
	renamed, err = a.Authenticate(t.Context(), token.AccessToken)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"tier": "gold", "wechatUnionId": "uMe"}, renamed.User.Properties)

	platform.unionID = "uOther"
	_, err = signIn("second", "UPDATE "+users+" SET id='another' WHERE id=?", p.User.Id) // who has got the name
	require.NoError(t, err)
	another, err := a.tables.users.named(a.tables.read(t.Context()), builtInName, "renamed")
	require.NoError(t, err)
	assert.Equal(t, "first", another.DisplayName, "nothing of it is theirs")

	_, err = signIn("third", "UPDATE "+users+" SET is_forbidden=TRUE WHERE id<>'another'")
	var refusal *Refusal
	require.ErrorAs(t, err, &refusal)
	assert.Equal(t, AccessDenied, refusal.Code)
}
