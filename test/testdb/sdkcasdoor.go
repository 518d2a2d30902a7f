package testdb

import (
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/require"
	"xorm.io/xorm"

	"github.com/minidoor/minidoor/object"
)

// SDKCasdoor returns a database that is made from the structs of casdoor-go-sdk, as a Casdoor makes its own, with what
// the captured ones hold of the organization shop.
func (k Kind) SDKCasdoor(t testing.TB) object.StoreConfig {
	t.Helper()
	cfg := k.Empty(t)
	store, _, err := object.Open(t.Context(), cfg) // makes the database; its own tables are dropped below
	require.NoError(t, err)
	store.Close()
	driver, name := DataSource(t, cfg)
	engine, err := xorm.NewEngine(driver, name)
	require.NoError(t, err)
	defer func() { _ = engine.Close() }()
	tables := []any{
		new(sdk.Organization), new(sdk.Application), new(sdk.Provider), new(sdk.Cert), new(sdk.User), new(sdk.Token),
		new(sdk.Record), new(sdk.Syncer),
	}
	metas, err := engine.DBMetas()
	require.NoError(t, err)
	for _, meta := range metas {
		require.NoError(t, engine.DropTables(meta.Name))
	}
	require.NoError(t, engine.Sync(tables...))
	for _, row := range shopRows() {
		_, err := engine.Insert(row)
		require.NoError(t, err)
	}
	return cfg
}

func shopRows() []any {
	certificate, private := keyPair()
	rows := []any{
		&sdk.Organization{Owner: "admin", Name: "shop", DisplayName: "Shop", PasswordType: "bcrypt"},
		&sdk.Cert{
			Owner: "admin", Name: "cert-built-in", Scope: "JWT", Type: "x509", CryptoAlgorithm: "RS256", BitSize: 2048,
			Certificate: certificate, PrivateKey: private,
		},
		&sdk.Provider{
			Owner: "admin", Name: "wxmp", Category: "OAuth", Type: "WeChatMiniProgram", ClientId: "wx1234567890abcdef",
			ClientSecret: "appsecret",
		},
		&sdk.Application{
			Owner: "admin", Name: "app-shop", Organization: "shop", Cert: "cert-built-in", EnableSignUp: true,
			ClientId: "shopclient0000000000", ClientSecret: "shopsecret000000000000000000000000000000",
			TokenFormat: "JWT", ExpireInHours: 168, RefreshExpireInHours: 168,
			Providers: []*sdk.ProviderItem{{Owner: "admin", Name: "wxmp", CanSignUp: true, CanSignIn: true}},
		},
	}
	for i, openID := range []string{"oShopper1", "oShopper2"} {
		name := "wechat-" + openID
		rows = append(rows, &sdk.User{
			Owner: "shop", Name: name, Id: "id-of-" + name, Type: "normal-user", WeChat: openID, Ranking: i + 2,
			CreatedTime: "2026-11-21T11:34:15Z", UpdatedTime: "2026-11-21T11:34:15Z", SignupApplication: "app-shop",
			BalanceCurrency: "USD", Properties: map[string]string{"wechatOpenId": openID, "wechatUnionId": ""},
		}, &sdk.Token{
			Owner: "admin", Name: "token-" + openID, CreatedTime: "2026-11-21T11:34:15Z", Application: "app-shop",
			Organization: "shop", User: name, Code: "c2Vzc2lvbktleQ==", AccessToken: "x.y.z", RefreshToken: "z.y.x",
			AccessTokenHash: "0123", RefreshTokenHash: "4567", ExpiresIn: 604800, TokenType: "Bearer", CodeIsUsed: true,
		})
	}
	return rows
}
