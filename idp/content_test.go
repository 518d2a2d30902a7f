package idp

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
	"github.com/minidoor/minidoor/test/fakewechat"
)

func TestCheckText(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	f.fake.Judge("bad", fakewechat.Verdict{Suggest: "risky", Label: 20003})
	f.fake.Judge("odd", fakewechat.Verdict{Suggest: "review", Label: 21000})
	f.fake.Judge("<&>", fakewechat.Verdict{Suggest: "new advice", Label: 1})
	for text, want := range map[string]provider.Verdict{
		"Band":     {Suggestion: provider.SuggestPass, Label: 100},
		"bad band": {Suggestion: provider.SuggestRisky, Label: 20003},
		"odd":      {Suggestion: provider.SuggestReview, Label: 21000},
		"<&>":      {Suggestion: provider.SuggestReview, Label: 1},
	} {
		got, err := f.wechat.CheckText(t.Context(), testOpenID, text)
		require.NoError(t, err)
		assert.NotEmpty(t, got.TraceID)
		got.TraceID = ""
		assert.Equal(t, want, got, text)
	}
}

func TestCheckTextOfAbsentUser(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	_, err := f.wechat.CheckText(t.Context(), "nobody", "Band")
	f.fails(t, provider.KindRefused, err)
	f.clock.Advance(3 * time.Hour)
	got, err := f.wechat.CheckText(t.Context(), testOpenID, "Band")
	f.fails(t, provider.KindInactive, err)
	assert.Zero(t, got, "no advice comes with an error")
}

func TestContentThatIsNeverSent(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	for _, text := range []string{"", "\xff", strings.Repeat("微", 2501)} {
		_, err := f.wechat.CheckText(t.Context(), testOpenID, text)
		f.fails(t, provider.KindInvalidContent, err)
	}
	for name, image := range map[string]string{"image/png": "", "image/gif": "GIF8", "": picture, "image/jpeg": huge()} {
		_, err := f.wechat.CheckImage(t.Context(), []byte(image), name)
		f.fails(t, provider.KindInvalidContent, err)
	}
	for _, url := range []string{
		"", "wxfile://tmp/a.png", "//a/b", "https://", "https://a/ b", "https://a/" + strings.Repeat("b", 2048),
	} {
		_, err := f.wechat.SubmitImage(t.Context(), testOpenID, url)
		f.fails(t, provider.KindInvalidContent, err)
	}
	_, err := f.wechat.CheckText(t.Context(), "", "Band")
	f.fails(t, provider.KindRefused, err)
	_, err = f.wechat.SubmitImage(t.Context(), "o 1", "https://a/b")
	f.fails(t, provider.KindRefused, err)
	assert.Zero(t, f.fake.Calls(fakewechat.PathStableToken))
}

func huge() string { return "\xff\xd8\xff" + strings.Repeat("x", 1<<20) }

func TestCheckImage(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	f.fake.Judge("bad", fakewechat.Verdict{Suggest: "risky", Label: 20002})
	got, err := f.wechat.CheckImage(t.Context(), []byte(huge()[:1<<20]), "image/jpeg")
	require.NoError(t, err)
	assert.Equal(t, provider.Verdict{Suggestion: provider.SuggestPass}, got)

	got, err = f.wechat.CheckImage(t.Context(), []byte(picture+"bad"), "image/png")
	require.NoError(t, err, "an errcode says so, but it is no error")
	assert.Equal(t, provider.SuggestRisky, got.Suggestion)
	assert.NotEmpty(t, got.TraceID)

	_, err = f.wechat.CheckImage(t.Context(), []byte("<svg>"), "image/png")
	f.fails(t, provider.KindInvalidContent, err)
}

func TestCheckImageOverTCP(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	server := httptest.NewServer(f.fake)
	t.Cleanup(server.Close)
	w := newTestWeChat(t, Options{Endpoint: server.URL})
	f.fake.Inject(fakewechat.PathCheckImage, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		assert.Positive(t, r.ContentLength, "WeChat wants no chunks")
		answer(w, r)
	}, 1)
	got, err := w.CheckImage(t.Context(), []byte(picture), "image/png")
	require.NoError(t, err)
	assert.Equal(t, provider.SuggestPass, got.Suggestion)
}

func TestOldStyleRiskyText(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	f.fake.Inject(fakewechat.PathCheckText, fakewechat.Errcode(87014), 1)
	got, err := f.wechat.CheckText(t.Context(), testOpenID, "Band")
	require.NoError(t, err)
	assert.Equal(t, provider.SuggestRisky, got.Suggestion)
}

func TestSubmitImage(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	const url = "https://cdn.test/a.png?x=<&>"
	id, err := f.wechat.SubmitImage(t.Context(), testOpenID, url)
	require.NoError(t, err)
	checks := f.fake.MediaChecks()
	require.Len(t, checks, 1)
	assert.Equal(t, id, checks[0].TraceID)
	assert.Equal(t, url, checks[0].URL)
	assert.Equal(t, testOpenID, checks[0].OpenID)
}

func TestSubmittedURLIsNotShown(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	const url = "https://cdn.test/pending/secret.png"
	f.fake.Inject(fakewechat.PathCheckMedia, fakewechat.ErrcodeMessage(40004, "bad "+url), 1)
	_, err := f.wechat.SubmitImage(t.Context(), testOpenID, url)
	assert.NotContains(t, f.fails(t, provider.KindInvalidContent, err).Error(), "secret.png")
}
