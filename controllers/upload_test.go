package controllers_test

import (
	"bytes"
	"image"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/test/harness"
)

// pictureForm is a form as wx.uploadFile sends it, and its content type.
func pictureForm(t *testing.T) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("any name", "tmp.png")
	require.NoError(t, err)
	require.NoError(t, png.Encode(file, image.NewGray(image.Rect(0, 0, 300, 300))))
	require.NoError(t, form.Close())
	return b.String(), form.FormDataContentType()
}

// A phone in a slow network is not cut off when others are, and neither may it take forever.
func TestSlowUpload(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oSlow").AccessToken
	server := httptest.NewServer(harness.Deadlines(s.Handler, 200*time.Millisecond))
	t.Cleanup(server.Close)
	body, contentType := pictureForm(t)
	send := func(path string) (*http.Response, error) {
		reader, writer := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, reader)
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", "Bearer "+token)
		go func() {
			_, _ = io.WriteString(writer, body[:100])
			<-time.After(600 * time.Millisecond)
			_, _ = io.WriteString(writer, body[100:])
			_ = writer.Close()
		}()
		return http.DefaultClient.Do(r)
	}
	reply, err := send(harness.PathAvatar)
	require.NoError(t, err)
	defer func() { _ = reply.Body.Close() }()
	assert.Equal(t, http.StatusOK, reply.StatusCode)
	other, err := send(harness.PathProfile)
	if err == nil {
		defer func() { _ = other.Body.Close() }()
		assert.NotEqual(t, http.StatusOK, other.StatusCode)
	}
}

// Not parallel: the folder for temporary files is the process's.
func TestUploadWithoutRoom(t *testing.T) {
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oRoom").AccessToken
	body, contentType := pictureForm(t)
	upload := scenario{
		path: harness.PathAvatar, body: body,
		header: map[string]string{"Content-Type": contentType, "Authorization": "Bearer " + token},
		status: http.StatusServiceUnavailable, has: []string{"there is no room for the upload now"},
		hasNot: []string{"/gone", "tmp"}, reply: map[string]string{"Retry-After": "5"},
	}
	folder := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(folder, "gone"))
	upload.run(t, s.Handler)
	t.Setenv("TMPDIR", folder)
	upload.status, upload.has, upload.reply, upload.hasNot = http.StatusOK, []string{"/avatars/a/"}, nil, nil
	upload.run(t, s.Handler)
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	assert.Empty(t, left, "no temporary file is left")
}

// Who comes when as many as may are uploading is turned away, and whoever is done or breaks off makes room.
func TestUploadsAtOneTime(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{MaxUploads: 1}})
	token := s.SignIn(t, "oMany").AccessToken
	body, contentType := pictureForm(t)
	header := map[string]string{"Content-Type": contentType, "Authorization": "Bearer " + token}
	upload := scenario{path: harness.PathAvatar, body: body, header: header, status: http.StatusOK}
	upload.run(t, s.Handler)
	scenario{path: harness.PathAvatar, body: body[:70], header: header, status: http.StatusBadRequest}.run(t, s.Handler)

	reader, writer := io.Pipe()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, harness.PathAvatar, reader)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		s.Handler.ServeHTTP(w, r)
	}()
	_, err := io.WriteString(writer, body[:100]) // returns when it is being read
	require.NoError(t, err)
	busy := upload
	busy.status, busy.has = http.StatusServiceUnavailable, []string{"The server is busy"}
	busy.run(t, s.Handler)
	busy.path = harness.PathResource + "?tag=avatar&owner=shop&user=wechat-oMany"
	busy.run(t, s.Handler)
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="uploads"}`), 0)
	_, err = io.WriteString(writer, body[100:])
	require.NoError(t, err)
	require.NoError(t, writer.Close())
	<-done
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	upload.run(t, s.Handler)
}

// One user who sends slowly does not take the places of all others. A back end uploads for many.
func TestUploadsOfOneUser(t *testing.T) {
	t.Parallel()
	const most = 4
	s := harness.Start(t, harness.Options{Limits: controllers.LimitsConfig{MaxUploads: 2 * most}})
	body, contentType := pictureForm(t)
	uploadOf := func(openID string) scenario {
		token := s.SignIn(t, openID).AccessToken
		return scenario{path: harness.PathAvatar, body: body, status: http.StatusOK, header: map[string]string{
			"Content-Type": contentType, "Authorization": "Bearer " + token,
		}}
	}
	slow, other := uploadOf("oSlow"), uploadOf("oOther")
	var sending sync.WaitGroup
	var rest []*io.PipeWriter
	for range most {
		reader, writer := io.Pipe()
		rest = append(rest, writer)
		sending.Go(func() {
			w := httptest.NewRecorder()
			slow.sendBody(w, s.Handler, reader)
			assert.Equal(t, http.StatusOK, w.Code, w.Body)
		})
		_, err := io.WriteString(writer, body[:100]) // returns when it is being read
		require.NoError(t, err)
	}
	refused := slow
	refused.status, refused.has = http.StatusTooManyRequests, []string{casdoor("too many requests: try again later")}
	refused.run(t, s.Handler)
	refused.path = harness.PathResource + "?tag=avatar&owner=shop&user=wechat-oSlow"
	refused.run(t, s.Handler)
	other.run(t, s.Handler)
	backEnd := slow
	backEnd.path = refused.path + "&clientId=" + harness.ClientID + "&clientSecret=" + harness.ClientSecret
	backEnd.header = typed(contentType)
	backEnd.run(t, s.Handler)
	for _, writer := range rest {
		_, err := io.WriteString(writer, body[100:])
		require.NoError(t, err)
		require.NoError(t, writer.Close())
	}
	sending.Wait()
	slow.run(t, s.Handler)
	assert.InDelta(t, 2, s.Metric(t, `minidoor_turned_away_total{limit="uploads"}`), 0)
}

func TestUploadThatBreaksOff(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oBreak").AccessToken
	body, contentType := pictureForm(t)
	header := map[string]string{"Content-Type": contentType, "Authorization": "Bearer " + token}
	runAll(t, s.Handler, []scenario{
		{name: "in the file", path: harness.PathAvatar, body: body[:len(body)/2], header: header, status: 400,
			has: []string{casdoor("the body ends too early")}},
		{name: "in a header", path: harness.PathAvatar, body: body[:70], header: header, status: 400,
			has: []string{`"status":"error"`}},
		{name: "a long header", path: harness.PathAvatar, header: header, status: 400,
			body: strings.Replace(body, "\r\n\r\n", "\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n", 1),
			has:  []string{casdoor("the form has more than 64 KB beside its file")}},
		{name: "a long field", path: harness.PathAvatar, header: header, status: 400,
			body: strings.Replace(body, "any name", `x"`+"\r\n\r\n"+strings.Repeat("x", 100<<10), 1),
			has:  []string{casdoor("the form has more than 64 KB beside its file")}},
		{name: "another body", path: harness.PathAvatar, body: strings.Repeat("x", 1000), header: header, status: 400,
			has: []string{`"status":"error"`}},
		{name: "no token", path: harness.PathAvatar, body: body, header: typed(contentType), status: 401,
			has: []string{"Please login first"}},
		{name: "SDK's path", path: harness.PathResource + "?tag=avatar", body: body, header: typed(contentType), status: 200,
			has: []string{casdoor("Please login first")}},
	})
}
