package object

import (
	"context"
	"testing"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// elsewhere is a directory that has no tables of ours, with one user.
type elsewhere struct {
	directory // what is not asked for here

	written *sdk.User
	columns []string
}

func (e *elsewhere) client(context.Context, string) (*Client, error) {
	return &Client{Application: &sdk.Application{Name: "app"}, miniPrograms: []miniProgram{
		{row: &sdk.Provider{Name: "github", Type: "GitHub", ClientId: "github"}},
		{row: &sdk.Provider{Name: "wx", Type: "Test", ClientId: "wx"}},
	}}, nil
}

func (e *elsewhere) organization(context.Context, string) (*sdk.Organization, error) {
	return &sdk.Organization{Name: "shop"}, nil
}

func (e *elsewhere) update(_ context.Context, p *Principal, columns []string) error {
	e.written, e.columns = p.User, columns
	return nil
}

// phones is a platform that can do nothing but tell a phone number.
type phones struct{}

func (phones) Type() string { return "Test" }

func (phones) Exchange(context.Context, string) (provider.Session, error) {
	return provider.Session{}, nil
}

func (phones) Phone(_ context.Context, openID, _ string) (provider.Phone, error) {
	return provider.Phone{CountryCode: "86", Number: "1380000" + openID}, nil
}

// Where there are no tables of ours, what can be done without them is done, and the rest is refused.
func TestMemberWithoutTables(t *testing.T) {
	t.Parallel()
	registry, err := provider.NewRegistry(provider.Platform{
		Type: "Test", Tag: "test", Prefix: "wechat",
		New: func(provider.Config) (provider.Provider, error) { return phones{}, nil },
	})
	require.NoError(t, err)
	directory := &elsewhere{}
	s := newService(directory, ServiceConfig{Registry: registry}.withDefaults())
	p := &Principal{User: &sdk.User{Owner: "shop", Name: "me", Properties: map[string]string{"wechatOpenId": "0001"}}}

	require.NoError(t, s.StorePhone(t.Context(), p, "", "code"))
	assert.Equal(t, "13800000001", directory.written.Phone)
	assert.Equal(t, "CN", p.User.CountryCode)
	assert.Equal(t, []string{"phone", "country_code", "properties", "updated_time"}, directory.columns)
	changed, err := s.UpdateProfile(t.Context(), p, []Change{{Field: nicknameField, Value: "Me"}})
	require.NoError(t, err)
	assert.True(t, changed)

	_, err1 := s.CheckSession(t.Context(), p, "")
	_, err2 := s.Decrypt(t.Context(), p, "", provider.EncryptedData{})
	_, err3 := s.Export(t.Context(), p)
	_, err4 := s.VerifyPush(t.Context(), "wx", nil)
	for _, err := range []error{
		err1, err2, err3, err4, s.Delete(t.Context(), p, "", "code"), s.Push(t.Context(), "wx", nil, nil),
	} {
		var refusal *Refusal
		require.ErrorAs(t, err, &refusal)
		assert.Equal(t, Unsupported, refusal.Code)
	}
	require.NoError(t, s.DoChores(t.Context()))
	s.KeepHouse(t.Context()) // returns

	for name, other := range map[string]*sdk.User{
		"no OpenID": {Owner: "shop", Name: "other"},
		"empty":     {Owner: "shop", Name: "other", Properties: map[string]string{"wechatOpenId": ""}},
	} {
		var refusal *Refusal
		require.ErrorAs(t, s.StorePhone(t.Context(), &Principal{User: other}, "", "code"), &refusal, name)
		assert.Equal(t, InvalidRequest, refusal.Code)
	}
}

// A platform that cannot check leaves the decision to the options.
func TestCheckTextWithoutChecker(t *testing.T) {
	t.Parallel()
	s := newService(&elsewhere{}, ServiceConfig{Registry: &provider.Registry{}}.withDefaults())
	m := &member{upstream: phones{}, program: miniProgram{row: &sdk.Provider{}}}
	_, err := s.checkText(t.Context(), m, nicknameField, "x")
	assert.Equal(t, provider.KindMisconfigured, provider.KindOf(err))
	m.program.options.OnUnchecked = acceptContent
	reason, err := s.checkText(t.Context(), m, nicknameField, "x")
	require.NoError(t, err)
	assert.Equal(t, "misconfigured", reason)
}

func TestRegionOf(t *testing.T) {
	t.Parallel()
	for number, region := range map[[2]string]string{
		{"86", "13800000000"}: "CN", {"852", "51234567"}: "HK", {"853", "66123456"}: "MO", {"886", "912345678"}: "TW",
		{"1", "2025550123"}: "US", {"1", "6135550123"}: "CA", {"7", "9161234567"}: "RU", {"7", "7011234567"}: "KZ",
		{"44", "7400123456"}: "GB", {"1", "0000000000"}: "US", {"86", "1"}: "",
		{"800", "12345678"}: "", {"999", "123456789"}: "", {"0", "123456"}: "",
	} {
		assert.Equal(t, region, regionOf(provider.Phone{CountryCode: number[0], Number: number[1]}), "%v", number)
	}
}
