package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/test/harness"
	"github.com/minidoor/minidoor/test/testdb"
)

// filesIn returns the names of the avatars that a server keeps.
func filesIn(t *testing.T, s *harness.Server) []string {
	t.Helper()
	names := []string{}
	require.NoError(t, filepath.WalkDir(s.Folder, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, d.Name())
		}
		return err
	}))
	return names
}

// avatarOf checks that the files that a server keeps are those of one avatar, and returns its address.
func avatarOf(t *testing.T, s *harness.Server, bearer string) string {
	t.Helper()
	avatar, _ := s.Account(t, bearer)["avatar"].(string)
	name := strings.TrimPrefix(avatar, s.URL+"/avatars/a/")
	assert.ElementsMatch(t, []string{name, strings.Replace(name, "-640.", "-132.", 1)}, filesIn(t, s))
	return avatar
}

func upload(t testing.TB, s *harness.Server, bearer string, parts ...part) harness.Reply {
	t.Helper()
	return s.Call(t, "POST", harness.PathAvatar, bearer, uploadForm(t, parts...))
}

// fetch gets a file from its address.
func fetch(t *testing.T, s *harness.Server, address string) harness.Reply {
	t.Helper()
	return s.Call(t, "GET", strings.TrimPrefix(address, s.URL), "", nil)
}

func TestAvatarFormats(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oFormats").AccessToken
	red := painted(color.NRGBA{R: 200, A: 255})
	former := ""
	for _, c := range []struct {
		name, contentType string
		data              []byte
	}{
		{"JPEG", "image/jpeg", jpegOf(t, red)},
		{"PNG", "image/jpeg", pngOf(t, red)},
		{"transparent PNG", "image/png", pngOf(t, painted(color.NRGBA{R: 200, A: 100}))},
		{"GIF", "image/jpeg", gifOf(t, red)},
		{"WebP", "image/jpeg", webp(t)},
		{"photo", "image/jpeg", photo()},
	} {
		reply := upload(t, s, token, picturePart(c.data))
		require.Equal(t, http.StatusOK, reply.Status, "%s: %s", c.name, reply.Body)
		avatar := avatarOf(t, s, token)
		assert.Equal(t, avatar, reply.Map(t)["data"].(map[string]any)["avatar"], c.name)
		assert.Regexp(t, `/avatars/a/[a-z2-7]{26}-640\.(jpg|png)$`, avatar)
		for side, address := range map[int]string{640: avatar, 132: strings.Replace(avatar, "-640.", "-132.", 1)} {
			file := fetch(t, s, address)
			require.Equal(t, http.StatusOK, file.Status, c.name)
			assert.Equal(t, c.contentType, file.Header.Get("Content-Type"), c.name)
			img, _, err := image.Decode(strings.NewReader(file.Body))
			require.NoError(t, err, c.name)
			assert.Equal(t, image.Rect(0, 0, side, side), img.Bounds(), c.name)
		}
		if former != "" {
			assert.Equal(t, http.StatusNotFound, fetch(t, s, former).Status, "the former file is gone")
		}
		former = avatar
	}
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
}

func TestAvatarWithNickname(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oNick").AccessToken
	data := jpegOf(t, painted(color.White))
	reply := upload(t, s, token, part{field: "x", data: []byte("y")}, nickPart("小明 🐼"), picturePart(data))
	require.Equal(t, http.StatusOK, reply.Status, reply.Body)
	assert.Equal(t, "小明 🐼", s.Account(t, token)["displayName"])
	first := avatarOf(t, s, token)
	for _, name := range []string{"微信用户", "小明 🐼", ""} {
		require.Equal(t, http.StatusOK, upload(t, s, token, picturePart(data), nickPart(name)).Status)
		assert.Equal(t, "小明 🐼", s.Account(t, token)["displayName"], "%q changes nothing", name)
	}
	kept := avatarOf(t, s, token)
	assert.NotEqual(t, first, kept)
	for _, form := range [][]part{
		{picturePart(data), nickPart("a\nb")}, {picturePart(data), nickPart(" ")}, {picturePart(data), nickPart("\xff")},
		{picturePart(data), nickPart("A"), nickPart("B")}, {picturePart(data), nickPart(strings.Repeat("x", 5000))},
	} {
		reply := upload(t, s, token, form...)
		assert.Equal(t, http.StatusBadRequest, reply.Status, reply.Body)
		assert.Contains(t, reply.Body, "nickName ")
	}
	assert.Equal(t, kept, avatarOf(t, s, token), "nothing of a refused call is applied")
	require.Equal(t, http.StatusOK, s.Call(t, "POST", harness.PathProfile, token,
		map[string]string{"avatarUrl": "https://example.com/a.png"}).Status)
	assert.Empty(t, filesIn(t, s), "another avatar takes its place")
}

func TestAvatarRefusals(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oRefusals").AccessToken
	good := jpegOf(t, painted(color.White))
	require.Equal(t, http.StatusOK, upload(t, s, token, picturePart(good)).Status)
	before := avatarOf(t, s, token)
	file := func(data []byte) []part { return []part{picturePart(data)} }
	for _, c := range []struct {
		name   string
		parts  []part
		status int
		says   string
	}{
		{"no part", nil, 400, "the form has no file"},
		{"no file", []part{nickPart("A")}, 400, "the form has no file"},
		{"two files", []part{picturePart(good), {"other", "b.jpg", good}}, 400, "the form has more than one file"},
		{"empty", file(nil), 400, "not a JPEG"},
		{"HTML", file([]byte("<!doctype html><script>alert(1)</script>")), 400, "not a JPEG"},
		{"SVG", file([]byte(`<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>`)), 400, "not a JPEG"},
		{"ZIP", file([]byte("PK\x03\x04\x14\x00\x00\x00\x08\x00")), 400, "not a JPEG"},
		{"cut off", file(good[:len(good)/2]), 400, "damaged"},
		{"cut off photo", file(photo()[:1<<20]), 400, "damaged"},
		{"60000 pixels square", file(hugePNG(t)), 413, "too many pixels"},
		{"over 10 MB", file(append(bytes.Clone(good), make([]byte, 10<<20)...)), 413, "larger than 10 MB"},
		{"12 MB", file(make([]byte, 12<<20)), 413, "larger than 10 MB"},
	} {
		reply := upload(t, s, token, c.parts...)
		assert.Equal(t, c.status, reply.Status, c.name)
		assert.Equal(t, "error", reply.Map(t)["status"], c.name)
		assert.Contains(t, reply.Map(t)["msg"], c.says, c.name)
	}
	for name, body := range map[string]harness.Text{
		"no form":          {ContentType: "image/jpeg", Body: string(good)},
		"no boundary":      {ContentType: "multipart/form-data", Body: string(good)},
		"another boundary": {ContentType: "multipart/form-data; boundary=x", Body: uploadForm(t, picturePart(good)).Body},
		"JSON":             {ContentType: "application/json", Body: `{"nickName":"x"}`},
	} {
		assert.Equal(t, http.StatusBadRequest, s.Call(t, "POST", harness.PathAvatar, token, body).Status, name)
	}
	for _, bearer := range []string{"", "x", token + "x"} {
		assert.Equal(t, http.StatusUnauthorized, upload(t, s, bearer, picturePart(photo())).Status)
	}
	assert.Equal(t, before, avatarOf(t, s, token))
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
}

func TestAvatarRules(t *testing.T) {
	t.Parallel()
	items := []harness.Row{{"name": "Avatar", "modifyRule": "Admin"}}
	s := harness.Start(t, harness.Options{Organization: harness.Row{"accountItems": items}})
	token := s.SignIn(t, "oRules").AccessToken
	reply := upload(t, s, token, picturePart(photo()))
	assert.Equal(t, http.StatusBadRequest, reply.Status)
	assert.Contains(t, reply.Body, "avatar cannot be changed by the user")
	assert.Empty(t, filesIn(t, s))
	url, _, err := s.SDK().UploadResource("wechat-oRules", "avatar", "", "a.png", pngOf(t, painted(color.White)))
	require.NoError(t, err, "the rule leaves it to admins and back ends")
	assert.Equal(t, url, avatarOf(t, s, token))
}

// slow is a storage during whose Put something happens.
type slow struct {
	object.Files
	meanwhile func()
}

func (s *slow) Put(ctx context.Context, key, contentType string, data []byte) error {
	if meanwhile := s.meanwhile; meanwhile != nil {
		s.meanwhile = nil
		meanwhile()
	}
	return s.Files.Put(ctx, key, contentType, data)
}

// Nothing of an upload comes back to an account that was deleted, or closed by an admin, while it was under way.
func TestAvatarOfAccountThatIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ check, sql string }{
		"deleted":            {"", ""},
		"deleted, pending":   {"async", ""},
		"forbidden":          {"", "UPDATE user SET is_forbidden=1, display_name='', avatar='' WHERE wechat='oMe'"},
		"forbidden, pending": {"async", "UPDATE user SET is_forbidden=1, display_name='', avatar='' WHERE wechat='oMe'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := &slow{}
			s := harness.Start(t, harness.Options{
				Organization: harness.Row{"enableSoftDeletion": true},
				Rows: harness.Rows{"miniProgramProviders": {{
					"owner": "admin", "name": harness.Provider, "pushToken": pushToken, "checkAvatar": c.check,
				}}},
				Files: func(files object.Files) object.Files {
					storage.Files = files
					return storage
				},
			})
			token := s.SignIn(t, "oMe").AccessToken
			storage.meanwhile = func() {
				if c.sql != "" {
					s.Exec(t, c.sql)
					return
				}
				reply := s.Call(t, "POST", harness.PathDelete, token, map[string]string{"code": s.NewCode("oMe")})
				assert.Equal(t, http.StatusOK, reply.Status, reply.Body)
			}
			reply := upload(t, s, token, nickPart("小明"), picturePart(photo()))
			assert.Equal(t, http.StatusBadRequest, reply.Status, reply.Body)
			assert.Empty(t, filesIn(t, s))
			assert.Empty(t, s.Value(t, "SELECT CONCAT(display_name, avatar) FROM user WHERE wechat='oMe'"))
			assert.Equal(t, "0", s.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
		})
	}
}

// faulty is a storage that fails while it is told to.
type faulty struct {
	object.Files
	puts, deletes atomic.Int32 // how many work from now on; negative: all
}

func (f *faulty) Put(ctx context.Context, key, contentType string, data []byte) error {
	if f.puts.Load() == 0 {
		return errors.New("the storage is full of secrets")
	}
	f.puts.Add(-1)
	return f.Files.Put(ctx, key, contentType, data)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if f.deletes.Load() == 0 {
		return errors.New("the storage is full of secrets")
	}
	f.deletes.Add(-1)
	return f.Files.Delete(ctx, key)
}

func TestAvatarFaults(t *testing.T) {
	t.Parallel()
	clock, storage := harness.NewClock(), &faulty{}
	storage.puts.Store(-1)
	storage.deletes.Store(-1)
	s := harness.Start(t, harness.Options{Now: clock.Now, Files: func(files object.Files) object.Files {
		storage.Files = files
		return storage
	}})
	token := s.SignIn(t, "oFaults").AccessToken
	require.Equal(t, http.StatusOK, upload(t, s, token, nickPart("Before"), picturePart(photo())).Status)
	before := avatarOf(t, s, token)
	data := jpegOf(t, painted(color.White))
	unchanged := func(rows string) {
		t.Helper()
		reply := upload(t, s, token, nickPart("After"), picturePart(data))
		assert.GreaterOrEqual(t, reply.Status, 500, reply.Body)
		assert.NotContains(t, reply.Body, "secret")
		assert.Equal(t, "Before", s.Account(t, token)["displayName"])
		assert.Equal(t, before, s.Account(t, token)["avatar"])
		assert.Equal(t, rows, s.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))
	}
	for _, works := range []int32{0, 1} { // the first file fails, and the second one
		storage.puts.Store(works)
		unchanged("1")
		avatarOf(t, s, token)
	}
	storage.puts.Store(-1)
	s.Exec(t, "CREATE TRIGGER broken BEFORE UPDATE OF avatar ON user BEGIN SELECT RAISE(ABORT, 'broken'); END")
	unchanged("1")
	avatarOf(t, s, token)

	// The files cannot be removed either: the sweep does it, some time later.
	storage.deletes.Store(0)
	unchanged("2")
	assert.Len(t, filesIn(t, s), 4)
	storage.deletes.Store(-1)
	s.Exec(t, "DROP TRIGGER broken")
	clock.Advance(time.Hour)
	require.NoError(t, s.Service.DoChores(t.Context()))
	avatarOf(t, s, token)
	assert.Equal(t, "1", s.Value(t, "SELECT COUNT(*) FROM mini_program_upload"))

	// The former file cannot be removed, which is nothing to the user.
	storage.deletes.Store(0)
	require.Equal(t, http.StatusOK, upload(t, s, token, nickPart("After"), picturePart(data)).Status)
	assert.Error(t, func() error { clock.Advance(time.Hour); return s.Service.DoChores(t.Context()) }())
	assert.Len(t, filesIn(t, s), 4)
	storage.deletes.Store(-1)
	clock.Advance(time.Hour)
	require.NoError(t, s.Service.DoChores(t.Context()))
	assert.NotEqual(t, before, avatarOf(t, s, token))
}

// What a killed process leaves behind is a row that is new, with files or without.
func TestAvatarOrphans(t *testing.T) {
	t.Parallel()
	clock := harness.NewClock()
	s := harness.Start(t, harness.Options{Now: clock.Now})
	token := s.SignIn(t, "oOrphans").AccessToken
	data := jpegOf(t, painted(color.White))
	require.Equal(t, http.StatusOK, upload(t, s, token, picturePart(data)).Status)
	require.Equal(t, http.StatusOK, upload(t, s, s.SignIn(t, "oOther").AccessToken, picturePart(data)).Status)
	s.Exec(t, "UPDATE mini_program_upload SET state='new', due=? "+
		"WHERE user_id=(SELECT id FROM user WHERE wechat='oOther')",
		clock.Now().Add(10*time.Minute).UTC().Format(time.RFC3339))
	require.NoError(t, s.Service.DoChores(t.Context()))
	assert.Len(t, filesIn(t, s), 4, "it may still be going on")
	clock.Advance(11 * time.Minute)
	require.NoError(t, s.Service.DoChores(t.Context()))
	avatarOf(t, s, token)
}

func TestAvatarsAtOnce(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, store object.StoreConfig) {
		s := harness.Start(t, harness.Options{Store: store})
		token := s.SignIn(t, "oAtOnce").AccessToken
		data := jpegOf(t, painted(color.White))
		replies := together(12, func(i int) harness.Reply {
			return upload(t, s, token, picturePart(data), nickPart(fmt.Sprint("Name ", i)))
		})
		for _, reply := range replies {
			assert.Equal(t, http.StatusOK, reply.Status, reply.Body)
		}
		require.NoError(t, s.Service.DoChores(t.Context()))
		file := fetch(t, s, avatarOf(t, s, token))
		assert.Equal(t, http.StatusOK, file.Status)
		db := testdb.Connect(t, store)
		assert.Equal(t, 1, count(t, db, store, "SELECT COUNT(*) FROM mini_program_upload"))
	})
}

// Anybody may enter the address of somebody's avatar as the own one. That gives nobody a hold on the file.
func TestAvatarOfAnother(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	victim, thief := s.SignIn(t, "oVictim").AccessToken, s.SignIn(t, "oThief").AccessToken
	data := jpegOf(t, painted(color.White))
	require.Equal(t, http.StatusOK, upload(t, s, victim, picturePart(data)).Status)
	address := avatarOf(t, s, victim)
	claimed := "https://example.com" + strings.TrimPrefix(address, s.URL)
	require.Equal(t, http.StatusOK,
		s.Call(t, "POST", harness.PathProfile, thief, map[string]string{"avatarUrl": claimed}).Status)
	require.Equal(t, http.StatusOK, upload(t, s, thief, picturePart(data)).Status)
	require.NoError(t, s.Service.DoChores(t.Context()))
	assert.Equal(t, http.StatusOK, fetch(t, s, address).Status)
	assert.Len(t, filesIn(t, s), 4)
}

func TestAvatarFile(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	token := s.SignIn(t, "oFile").AccessToken
	require.Equal(t, http.StatusOK, upload(t, s, token, picturePart(photo())).Status)
	path := strings.TrimPrefix(avatarOf(t, s, token), s.URL)
	whole := s.Call(t, "GET", path, "", nil)
	for name, want := range map[string]string{
		"Content-Type": "image/jpeg", "Cache-Control": "public, max-age=31536000, immutable",
		"X-Content-Type-Options": "nosniff", "Content-Disposition": "inline", "Accept-Ranges": "bytes", "Set-Cookie": "",
		"Content-Security-Policy": "default-src 'none'; sandbox", "Etag": `"` + strings.TrimPrefix(path, "/avatars/") + `"`,
	} {
		assert.Equal(t, want, whole.Header.Get(name), name)
	}
	head := s.Call(t, "HEAD", path, "", nil)
	assert.Equal(t, http.StatusOK, head.Status)
	assert.Equal(t, fmt.Sprint(len(whole.Body)), head.Header.Get("Content-Length"))
	for header, c := range map[string]struct {
		value  string
		status int
		body   string
	}{
		"If-None-Match": {whole.Header.Get("ETag"), http.StatusNotModified, ""},
		"Range":         {"bytes=2-5", http.StatusPartialContent, whole.Body[2:6]},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		require.NoError(t, err)
		r.Header.Set(header, c.value)
		reply := s.Do(t, r)
		assert.Equal(t, c.status, reply.Status, header)
		assert.Equal(t, c.body, reply.Body, header)
	}
	for _, nothing := range []string{
		"/avatars", "/avatars/", "/avatars/a", "/avatars/a/", "/avatars/a/x", "/avatars/harness.db", "/avatars/unfinished",
		"/avatars/a/..%2f..%2fharness.db", "/avatars/a/%2e%2e/x", path + "/", path + ".html", strings.ToUpper(path),
		"/avatars/a/" + strings.Repeat("a", 26) + "-640.jpg", "/avatars/b" + path[10:],
		strings.Replace(path, "-640", "-641", 1),
	} {
		reply := s.Call(t, "GET", nothing, "", nil)
		assert.Equal(t, http.StatusNotFound, reply.Status, nothing)
		assert.Equal(t, "no-store", reply.Header.Get("Cache-Control"), nothing)
	}
	assert.Equal(t, http.StatusMethodNotAllowed, s.Call(t, "DELETE", path, token, nil).Status)
}

// casdoor-go-sdk uploads an avatar as it does to Casdoor.
func TestAvatarBySDK(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	tokens := s.SignIn(t, "oSDKAvatar")
	user := s.SDK().WithAccessToken(tokens.AccessToken)
	const name = "wechat-oSDKAvatar"
	url, key, err := user.UploadResource(name, "avatar", "", "avatar/a.png", pngOf(t, painted(color.White)))
	require.NoError(t, err)
	assert.Equal(t, avatarOf(t, s, tokens.AccessToken), url)
	assert.Equal(t, s.URL+"/avatars/"+key, url)
	_, _, err = user.UploadResource(name, "termsOfUse", "", "a.html", []byte("<p>"))
	assert.EqualError(t, err, "of resources this server takes those with tag=avatar only")
	_, _, err = user.UploadResource(harness.AdminName, "avatar", "", "a.png", []byte("x"))
	assert.EqualError(t, err, "Unauthorized operation")
	_, _, err = user.UploadResource(name, "avatar", "", "a.png", []byte("x"))
	assert.EqualError(t, err, "the file is not a JPEG, PNG, GIF or WebP picture")
	url, _, err = s.SDK().UploadResource(name, "avatar", "", "a.png", pngOf(t, painted(color.White)))
	require.NoError(t, err, "a back end may do it for its users")
	assert.Equal(t, url, avatarOf(t, s, tokens.AccessToken))
	_, _, err = user.WithAccessToken("").UploadResource("nobody", "avatar", "", "a.png", pngOf(t, painted(color.White)))
	assert.EqualError(t, err, "the user shop/nobody does not exist")
}

func TestAvatarInTheGateway(t *testing.T) {
	t.Parallel()
	for _, kind := range testdb.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			s, casdoor := harness.StartGateway(t, kind.Casdoor(t), harness.Options{})
			token := s.SignIn(t, "oShopper1").AccessToken
			reply := upload(t, s, token, picturePart(photo()), nickPart("小明"))
			require.Equal(t, http.StatusOK, reply.Status, reply.Body)
			user := reply.Map(t)["data"].(map[string]any)
			assert.Equal(t, "小明", user["displayName"])
			assert.Equal(t, http.StatusOK, fetch(t, s, user["avatar"].(string)).Status)
			_, path, _ := strings.Cut(user["avatar"].(string), "/avatars/")
			assert.Zero(t, casdoor.Calls("/avatars/"+path), "the Casdoor has nothing there")
			assert.Len(t, filesIn(t, s), 2)
			s.Call(t, "POST", harness.PathResource+"?tag=avatar", token, uploadForm(t, picturePart(photo())))
			assert.Equal(t, 1, casdoor.Calls(harness.PathResource), "resources are the Casdoor's")
		})
	}
}

// A bucket that refuses, and repeats what it was told, tells nobody the keys.
func TestAvatarBucketSecrets(t *testing.T) {
	t.Parallel()
	const access, secret = "AKIDaccess0000000000", "s3secret+/=0000000000"
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>%s %s %s</Message></Error>",
			secret, r.Header.Get("Authorization"), r.URL)
	}))
	t.Cleanup(storage.Close)
	rec := &recording{}
	s := harness.Start(t, harness.Options{Wrap: rec.wrap, Files: func(object.Files) object.Files {
		bucket, err := blob.NewBucket(blob.BucketConfig{
			Endpoint: storage.URL, Bucket: "avatars", AccessKey: access, SecretKey: secret, PathStyle: true,
		})
		require.NoError(t, err)
		return bucket
	}})
	token := s.SignIn(t, "oBucket").AccessToken
	reply := upload(t, s, token, picturePart(photo()))
	assert.Equal(t, http.StatusServiceUnavailable, reply.Status, reply.Body)
	assert.Contains(t, reply.Body, "the picture cannot be stored now")
	assert.Len(t, s.Log.Lines(`"level":"ERROR"`, "SignatureDoesNotMatch"), 1, "the admin learns why")
	q := newSearch(rec)
	q.add("S3 access key", access)
	q.add("S3 secret key", secret)
	q.check(t, s.Log, rec)
}
