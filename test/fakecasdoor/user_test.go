package fakecasdoor

import (
	"net/url"
	"sync"
	"testing"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	u := shopper()
	added, err := c.AddUser(&u)
	require.NoError(t, err)
	assert.True(t, added)
	_, err = c.AddUser(&u)
	require.EqualError(t, err, "Username already exists")

	got, err := c.GetUser("wechat-o1")
	require.NoError(t, err)
	assert.Equal(t, "o1", got.Properties["wechatOpenId"])
	assert.NotEmpty(t, got.CreatedTime)
	byID, err := c.GetUserByUserId("id1")
	require.NoError(t, err)
	assert.Equal(t, got, byID)
	missing, err := c.GetUser("none")
	require.NoError(t, err)
	assert.Nil(t, missing)

	ours, found := c.Server.User("shop/wechat-o1")
	require.True(t, found)
	assert.Equal(t, *got, maskedUser(ours))
	ours.Properties["wechatOpenId"] = "changed"
	again, _ := c.Server.User("shop/wechat-o1")
	assert.Equal(t, "o1", again.Properties["wechatOpenId"], "a copy was given out")
	assert.Len(t, c.Users(), 2)

	deleted, err := c.DeleteUser(got)
	require.NoError(t, err)
	assert.True(t, deleted)
	deleted, err = c.DeleteUser(got)
	require.NoError(t, err)
	assert.False(t, deleted)
}

func TestOneOfManyAddsAUser(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	var mu sync.Mutex
	wins, refusals := 0, 0
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			u := shopper()
			added, err := c.AddUser(&u)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && added {
				wins++
			} else if assert.Error(t, err) {
				assert.Contains(t, []string{"Username already exists", uniqueFailed("user")}, err.Error())
				refusals++
			}
		})
	}
	group.Wait()
	assert.Equal(t, 1, wins)
	assert.Equal(t, 15, refusals)
}

func TestNames(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	const rules = "The username may only contain"
	for name, want := range map[string]string{
		"wechat-oA1_b-C": "", "wechat-oA__b": rules, "wechat-oA-": rules, "wechat-oA_-b": rules, "": "Empty username.",
	} {
		problem := c.checkName(Organization, name)
		assert.Equal(t, want == "", problem == "", name)
		assert.Contains(t, problem, want)
	}
	assert.Equal(t, "The organization: none does not exist", c.checkName("none", "a"))
	c.Change(func(r *Rows) { r.Organizations[0].UseEmailAsUsername = true })
	assert.Empty(t, c.checkName(Organization, "wechat-oA__b-"))
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	other := shopper()
	other.Name, other.Id, other.WeChat = "wechat-o2", "id2", "o2"
	cases := map[string]struct {
		self    bool
		change  func(*sdk.User)
		columns []string
		want    string // the error
		field   func(sdk.User) any
		value   any
	}{
		"client, columns": {
			false, func(u *sdk.User) { u.DisplayName, u.Email = "New", "a@b.c" }, []string{"displayName"}, "",
			func(u sdk.User) any { return u.DisplayName + u.Email }, "New",
		},
		"client, all": {
			false, func(u *sdk.User) { u.Email, u.Password = "a@b.c", "x" }, nil, "",
			func(u sdk.User) any { return u.Email + u.Password }, "a@b.c",
		},
		"client, without the id": {
			false, func(u *sdk.User) { u.Id = "" }, []string{"displayName"}, "The ID is immutable.", nil, nil,
		},
		"self, columns": {
			true, func(u *sdk.User) { u.DisplayName = "New" }, []string{"displayName"}, "",
			func(u sdk.User) any { return u.DisplayName }, "New",
		},
		"self, another's OpenID": {
			true, func(u *sdk.User) { u.WeChat, u.Score = "o9", 99 }, []string{"wechat", "score"}, "",
			func(u sdk.User) any { return []any{u.WeChat, u.Score} }, []any{"o9", 99},
		},
		"self, to an admin": {
			true, func(u *sdk.User) { u.IsAdmin = true }, []string{"isAdmin"}, "",
			func(u sdk.User) any { return u.IsAdmin }, false,
		},
		"self, properties": {
			true, func(u *sdk.User) { u.Properties["wechatOpenId"] = "o2" }, []string{"properties"}, "",
			func(u sdk.User) any { return u.Properties["wechatOpenId"] }, "o1",
		},
		"self, tag": {
			true, func(u *sdk.User) { u.Tag = "x" }, []string{"tag"}, "Only admin can modify the Tag.", nil, nil,
		},
		"self, name": {
			true, func(u *sdk.User) { u.Name = "x" }, []string{"name"}, "Unauthorized operation", nil, nil,
		},
		"someone else": {
			true, func(u *sdk.User) { *u = other }, []string{"displayName"}, "Unauthorized operation", nil, nil,
		},
		"empty name": {
			false, func(u *sdk.User) { u.DisplayName = "" }, nil, "Display name cannot be empty", nil, nil,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, Options{Users: []sdk.User{shopper(), other}})
			client := c.Client
			if tc.self {
				client = c.as(t, "o1")
			}
			u, _ := c.Server.User("shop/wechat-o1")
			tc.change(&u)
			changed, err := client.UpdateUserForColumns(&u, tc.columns)
			if tc.want != "" {
				require.EqualError(t, err, tc.want)
				return
			}
			require.NoError(t, err)
			assert.True(t, changed)
			stored, _ := c.Server.User("shop/wechat-o1")
			assert.Equal(t, tc.value, tc.field(stored))
			assert.Equal(t, c.clock.Now().UTC().Format(time.RFC3339), stored.UpdatedTime)
		})
	}
}

func TestUpdateWithoutColumnsEmptiesWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Users: []sdk.User{shopper()}})
	_, err := c.UpdateUser(&sdk.User{Name: "wechat-o1", Id: "id1", DisplayName: "New"})
	require.NoError(t, err)
	u, _ := c.Server.User("shop/wechat-o1")
	assert.Empty(t, u.WeChat)
	_, err = c.UpdateUser(&sdk.User{Name: "none"})
	require.EqualError(t, err, "The user: shop/none doesn't exist")
}

func TestAccount(t *testing.T) {
	t.Parallel()
	c := start(t, Options{})
	u, err := c.as(t, "o1").GetAccount()
	require.NoError(t, err)
	assert.Equal(t, "wechat-o1", u.Name)
	assert.NotEmpty(t, u.AccessToken)
	_, reply := c.ask(t, "/api/get-account", nil)
	assert.Equal(t, "Please login first", reply["msg"])
	_, err = c.GetAccount()
	require.EqualError(t, err, "The user: app/app-shop doesn't exist")
}

func TestForbiddenUserIsRefused(t *testing.T) {
	t.Parallel()
	for name, block := range map[string]func(*sdk.User){
		"forbidden": func(u *sdk.User) { u.IsForbidden = true },
		"deleted":   func(u *sdk.User) { u.IsDeleted = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, Options{Users: []sdk.User{shopper()}})
			client := c.as(t, "o1")
			u, _ := c.Server.User("shop/wechat-o1")
			block(&u)
			c.SetUser(u)
			_, err := client.GetAccount()
			require.EqualError(t, err, forbidden)
		})
	}
}

func TestForbiddingEndsTokens(t *testing.T) {
	t.Parallel()
	c := start(t, Options{Users: []sdk.User{shopper()}})
	refresh := c.signIn(t, "o1")["refreshToken"].(string)
	u, _ := c.Server.User("shop/wechat-o1")
	u.IsForbidden = true
	_, err := c.UpdateUserForColumns(&u, []string{"isForbidden"})
	require.NoError(t, err)
	status, reply := c.ask(t, "/api/login/oauth/refresh_token", url.Values{
		"grant_type": {"refresh_token"}, "client_id": {ClientID}, "refresh_token": {refresh},
	})
	assert.Equal(t, 400, status)
	assert.Equal(t, "refresh token is expired", reply["error_description"])
}
