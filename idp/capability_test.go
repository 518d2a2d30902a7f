package idp

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

const picture = "\x89PNG\r\n\x1a\n"

// capability is a call that wants an access token, with an input that WeChat accepts.
type capability struct {
	op, path string
	call     func(context.Context, *fixture) error
}

func capabilities() []capability {
	phone := fakewechat.Phone{CountryCode: "86", Number: "13800138000"}
	return []capability{
		{opPhone, fakewechat.PathPhone, func(ctx context.Context, f *fixture) error {
			_, err := f.wechat.Phone(ctx, testOpenID, f.fake.NewPhoneCode(testOpenID, phone))
			return err
		}},
		{opCheckText, fakewechat.PathCheckText, func(ctx context.Context, f *fixture) error {
			_, err := f.wechat.CheckText(ctx, testOpenID, "Band")
			return err
		}},
		{opCheckImage, fakewechat.PathCheckImage, func(ctx context.Context, f *fixture) error {
			_, err := f.wechat.CheckImage(ctx, []byte(picture), "image/png")
			return err
		}},
		{opCheckMedia, fakewechat.PathCheckMedia, func(ctx context.Context, f *fixture) error {
			_, err := f.wechat.SubmitImage(ctx, testOpenID, "https://cdn.test/s3cret-picture.png")
			return err
		}},
	}
}

// newActive returns a fixture whose user has just signed in.
func newActive(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, nil)
	require.NoError(t, f.exchange(t, 1))
	return f
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities() {
		f := newActive(t)
		require.NoError(t, c.call(t.Context(), f), c.op)
		assert.Equal(t, 1, f.fake.Calls(c.path))
	}
}

func TestCapabilityFailures(t *testing.T) {
	t.Parallel()
	body := func(text string) fakewechat.Fault { return fakewechat.Body(http.StatusOK, "", text) }
	faults := map[string]fakewechat.Fault{
		"busy": fakewechat.Errcode(-1), "500": fakewechat.Status(500), "html": fakewechat.HTML(),
		"truncated": fakewechat.Truncated(), "wrong types": fakewechat.WrongTypes(), "oversized": fakewechat.Oversized(),
		"reset": fakewechat.Reset(), "empty": fakewechat.Empty(), "null": body(`null`), "nothing": body(`{}`),
		"unknown": fakewechat.Errcode(99999),
	}
	for _, c := range capabilities() {
		for name, fault := range faults {
			t.Run(c.op+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newActive(t)
				f.fake.Inject(c.path, fault, 1)
				e := f.fails(t, provider.KindUnavailable, c.call(t.Context(), f))
				assert.Equal(t, c.op, e.Op)
				assert.Equal(t, 1, f.fake.Calls(c.path), "nothing is sent twice")
				assert.NoError(t, c.call(t.Context(), f), "the next call is fine")
			})
		}
	}
}

func TestCapabilityErrcodes(t *testing.T) {
	t.Parallel()
	const (
		text, image, media = opCheckText, opCheckImage, opCheckMedia
		all                = opPhone + text + image + media
	)
	cases := []struct {
		ops   string
		code  int
		kind  provider.Kind
		retry time.Duration
	}{
		{opPhone, 40029, provider.KindInvalidPhoneCode, 0},
		{opPhone, 40163, provider.KindInvalidPhoneCode, 0},
		{opPhone, 40013, provider.KindInvalidPhoneCode, 0},
		{opPhone, 40003, provider.KindInvalidPhoneCode, 0},
		{opPhone, 40097, provider.KindInvalidPhoneCode, 0},
		{text + media, 40003, provider.KindRefused, 0},
		{text + media, 43104, provider.KindRefused, 0},
		{text + media, 61010, provider.KindInactive, 0},
		{text + image + media, 44991, provider.KindThrottled, time.Minute},
		{media, 87020, provider.KindThrottled, time.Minute},
		{image, 40006, provider.KindInvalidContent, 0},
		{image, 40005, provider.KindInvalidContent, 0},
		{text, 47001, provider.KindInvalidContent, 0},
		{all, 45011, provider.KindThrottled, time.Minute},
		{all, 45009, provider.KindThrottled, time.Hour},
		{all, 48001, provider.KindMisconfigured, 0},
		{all, 40164, provider.KindMisconfigured, 0},
	}
	for _, c := range cases {
		for _, capability := range capabilities() {
			if !strings.Contains(c.ops, capability.op) {
				continue
			}
			f := newActive(t)
			f.fake.Inject(capability.path, fakewechat.Errcode(c.code), 1)
			e := f.fails(t, c.kind, capability.call(t.Context(), f))
			assert.Equal(t, c.code, e.Code, capability.op)
			assert.Equal(t, c.retry, e.RetryAfter, c.code)
			assert.Equal(t, c.kind == provider.KindMisconfigured, e.Hint != "", c.code)
		}
	}
}

func TestCapabilityReplacesARefusedToken(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities() {
		for _, code := range []int{40001, 40014, 42001} {
			f := newActive(t)
			f.fake.Inject(c.path, fakewechat.Errcode(code), 1)
			require.NoError(t, c.call(t.Context(), f), c.op)
			assert.Equal(t, 2, f.fake.Calls(c.path))
			assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken))
		}
	}
}

func TestCapabilityCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities() {
		synctest.Test(t, func(t *testing.T) {
			f := newActive(t)
			f.fake.Inject(c.path, fakewechat.Slow(time.Second), 1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			start := time.Now()
			err := c.call(ctx, f)
			require.ErrorIs(t, err, context.DeadlineExceeded, c.op)
			f.fails(t, provider.KindUnavailable, err)
			assert.Equal(t, time.Millisecond, time.Since(start))
			time.Sleep(2 * time.Second)
		})
	}
}

func TestCapabilityHang(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities() {
		synctest.Test(t, func(t *testing.T) {
			f := newActive(t)
			f.fake.Inject(c.path, fakewechat.Hang(), 1)
			start := time.Now()
			f.fails(t, provider.KindUnavailable, c.call(t.Context(), f))
			assert.Equal(t, 5*time.Second, time.Since(start), c.op)
		})
	}
}

func TestCapabilityOutageKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities() {
		f := newActive(t)
		f.fake.Inject(c.path, fakewechat.Status(500), -1)
		for range 11 {
			f.fails(t, provider.KindUnavailable, c.call(t.Context(), f))
		}
		assert.Equal(t, 10, f.fake.Calls(c.path), "the breaker is open")
		assert.Contains(t, f.logs.String(), `op=`+c.op)
		require.NoError(t, f.exchange(t, 1), "sign-ins go on")
		for _, other := range capabilities() {
			if other.op != c.op {
				require.NoError(t, other.call(t.Context(), f), "%s beside %s", other.op, c.op)
			}
		}
	}
}

func TestDiagnose(t *testing.T) {
	t.Parallel()
	f := newFixture(t, nil)
	require.NoError(t, f.wechat.Diagnose(t.Context()))
	require.NoError(t, f.wechat.Diagnose(t.Context()))
	assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken), "the cache is not asked")
	f.token(t)
	assert.Equal(t, 2, f.fake.Calls(fakewechat.PathStableToken), "but filled")

	f.fake.Inject(fakewechat.PathStableToken, fakewechat.Errcode(40164), 1)
	e := f.fails(t, provider.KindMisconfigured, f.wechat.Diagnose(t.Context()))
	assert.Contains(t, e.Hint, "203.0.113.7")
	assert.Equal(t, provider.FaultAddress, e.Fault)
	assert.Equal(t, "203.0.113.7", e.Address)
	f.fake.Inject(fakewechat.PathStableToken, fakewechat.Status(500), 1)
	f.fails(t, provider.KindUnavailable, f.wechat.Diagnose(t.Context()))
}
