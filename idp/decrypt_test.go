package idp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/provider"
)

// The vector of WeChat's demo, and what its data says.
const (
	vectorAppID = "wx4f4bc4dec97d474b"
	vectorKey   = "tiihtNczf5v6AKRyjwEUhQ=="
	vectorIV    = "r7BXXKkLb8qrSNn05n0qiA=="
	vectorTime  = 1477314187
	vectorData  = "CiyLU1Aw2KjvrjMdj8YKliAjtP4gsMZMQmRzooG2xrDcvSnxIMXFufNstNGTyaGS9uT5geRa0W4oTOb1WT7fJlAC+oNPdbB+" +
		"3hVbJSRgv+4lGOETKUQz6OYStslQ142dNCuabNPGBzlooOmB231qMM85d2/fV6ChevvXvQP8Hkue1poOFtnEtpyxVLW1zAo6/1Xx1COx" +
		"Fvrc2d7UL/lmHInNlxuacJXwu0fjpXfz/YqYzBIBzD6WUfTIF9GRHpOn/Hz7saL8xz+W//FRAUid1OksQaQx4CMs8LOddcQhULW4ucet" +
		"Df96JcR3g0gfRK4PC7E/r7Z6xNrXd2UIeorGj5Ef7b1pJAYB6Y5anaHqZ9J6nKEBvB4DnNLIVWSgARns/8wR2SiRS7MNACwTyrGvt9ts" +
		"8p12PKFdlqYTopNHR1Vf7XjfhQlVsAJdNiKdYmYVoKlaRv85IfVunYzO0IKXsyl7JCUjCpoG20f0a04COwfneQAGGwd5oa+T8yO5hzuy" +
		"Db/XcxxmK01EpqOyuxINew=="
	vectorPlain = `{"openId":"oGZUI0egBJY1zhBYw2KhdUfwVJJE","nickName":"Band","gender":1,"language":"zh_CN",` +
		`"city":"Guangzhou","province":"Guangdong","country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/` +
		`aSKcBBPpibyKNicHNTMM0qJVh8Kjgiak2AHWr8MHM4WgMEm7GFhsf8OYrySdbvAMvTsw3mo8ibKicsnfN5pRjl1p8HQ/0",` +
		`"unionId":"ocMvos6NjeKLIBqg5Mr9QjxrP1FA","watermark":{"timestamp":1477314187,"appid":"wx4f4bc4dec97d474b"}}`
)

// The vector of a signature.
const (
	vectorRawKey = "HyVFkGl5F5OQWJZZaNzBBg=="
	vectorRaw    = `{"nickName":"Band","gender":1,"language":"zh_CN","city":"Guangzhou","province":"Guangdong",` +
		`"country":"CN","avatarUrl":"http://wx.qlogo.cn/mmopen/vi_32/1vZvI39NWFQ9XM4LtQpFrQJ1xlgZxx3w7bQxKARol6503` +
		`Iuswjjn6nIGBiaycAjAtpujxyzYsrztuuICqIM5ibXQ/0"}`
	vectorSignature = "75e81ceda165f4ffa64f4068af58c64b8f54b88c"
)

// newApp returns the provider of an AppID at a time, for what needs no WeChat.
func newApp(t testing.TB, appID string, seconds int64) *WeChat {
	t.Helper()
	now := func() time.Time { return time.Unix(seconds, 0) }
	p, err := WeChatPlatform(Options{Now: now}).New(provider.Config{ClientID: appID, ClientSecret: testSecret})
	require.NoError(t, err)
	return p.(*WeChat)
}

// maxSealed is how many bytes fit maxEncrypted.
const maxSealed = maxEncrypted / 4 * 3

func vector() provider.EncryptedData {
	return provider.EncryptedData{Data: vectorData, IV: vectorIV}
}

func TestDecryptVector(t *testing.T) {
	t.Parallel()
	got, err := newApp(t, vectorAppID, vectorTime).Decrypt(vectorKey, vector())
	require.NoError(t, err)
	assert.Equal(t, vectorPlain, string(got))
}

func TestRawDataVector(t *testing.T) {
	t.Parallel()
	data := provider.EncryptedData{RawData: vectorRaw, Signature: vectorSignature}
	assert.True(t, isRawDataSigned(vectorRawKey, data))
	assert.False(t, isRawDataSigned(vectorKey, data))
}

func TestDecryptWindow(t *testing.T) {
	t.Parallel()
	for late, ok := range map[time.Duration]bool{
		24 * time.Hour: true, 24*time.Hour + time.Second: false, -5 * time.Minute: true, -5*time.Minute - time.Second: false,
	} {
		_, err := newApp(t, vectorAppID, vectorTime+int64(late.Seconds())).Decrypt(vectorKey, vector())
		assert.Equal(t, ok, err == nil, late)
	}
}

func TestDecryptHasOneError(t *testing.T) {
	t.Parallel()
	w := newApp(t, vectorAppID, vectorTime)
	sealed := func(plain string) provider.EncryptedData { return sealVector(t, pad(plain, 16)) }
	change := func(f func(*provider.EncryptedData)) provider.EncryptedData {
		d := vector()
		f(&d)
		return d
	}
	mark := fmt.Sprintf(`"watermark":{"timestamp":%d,"appid":%q}`, vectorTime, vectorAppID)
	object := func(length int) string { return "{" + mark + strings.Repeat(" ", length-len(mark)-2) + "}" }
	iv := decodeBase64(vectorIV)
	under := func(iv []byte) provider.EncryptedData { // what the first block says is not asked for
		return provider.EncryptedData{Data: sealed(object(160)).Data, IV: base64.StdEncoding.EncodeToString(iv)}
	}
	longKey := provider.Secret(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	signedBy := func(raw string) provider.EncryptedData {
		sum := sha1.Sum([]byte(raw + vectorKey))
		return provider.EncryptedData{Data: vectorData, IV: vectorIV, RawData: raw, Signature: hex.EncodeToString(sum[:])}
	}
	for name, data := range map[string]provider.EncryptedData{
		"sealed": sealed("{" + mark + "}"), "a block of padding": sealed(object(160)), "signed": signedBy("{}"),
		"as long as may be": sealed(object(maxSealed - 1)), "signed, as long as may be": signedBy(strings.Repeat("x", maxRawData)),
	} {
		_, err := w.Decrypt(vectorKey, data)
		require.NoError(t, err, name)
	}

	cases := map[string]struct {
		key  provider.Secret
		data provider.EncryptedData
	}{
		"another key":  {vectorRawKey, vector()},
		"no key":       {"", vector()},
		"short key":    {"AAAA", vector()},
		"no data":      {vectorKey, change(func(d *provider.EncryptedData) { d.Data = "" })},
		"bad base64":   {vectorKey, change(func(d *provider.EncryptedData) { d.Data = "!" })},
		"half a block": {vectorKey, change(func(d *provider.EncryptedData) { d.Data = d.Data[:12] })},
		"cut":          {vectorKey, change(func(d *provider.EncryptedData) { d.Data = d.Data[:64] })},
		"long data":    {vectorKey, sealed(object(maxSealed))},
		"long key": {longKey, provider.EncryptedData{
			Data: sealText(make([]byte, 32), iv, pad(object(160), 16)), IV: vectorIV,
		}},
		"no iv":      {vectorKey, change(func(d *provider.EncryptedData) { d.IV = "" })},
		"short iv":   {vectorKey, under(iv[:15])},
		"long iv":    {vectorKey, under(append(iv, iv...))},
		"bad iv":     {vectorKey, change(func(d *provider.EncryptedData) { d.IV = "!" })},
		"another iv": {vectorKey, change(func(d *provider.EncryptedData) { d.IV = vectorKey })},
		"wrong signature": {vectorKey, change(func(d *provider.EncryptedData) {
			d.RawData, d.Signature = "{}", vectorSignature
		})},
		"no raw data":      {vectorKey, change(func(d *provider.EncryptedData) { d.Signature = vectorSignature })},
		"no signature":     {vectorKey, change(func(d *provider.EncryptedData) { d.RawData = "{}" })},
		"long raw data":    {vectorKey, signedBy(strings.Repeat("x", maxRawData+1))},
		"no padding":       {vectorKey, sealVector(t, "{"+mark+"}"+strings.Repeat(" ", 16-(len(mark)+2)%16))},
		"uneven padding":   {vectorKey, sealVector(t, object(158)+"\x01\x02")},
		"padding of 17":    {vectorKey, sealVector(t, object(159)+strings.Repeat("\x11", 17))},
		"nothing":          {vectorKey, sealed("")},
		"no json":          {vectorKey, sealed("hello")},
		"no object":        {vectorKey, sealed("[]")},
		"two objects":      {vectorKey, sealed("{" + mark + "}{}")},
		"no watermark":     {vectorKey, sealed("{}")},
		"another app":      {vectorKey, sealed(strings.Replace("{"+mark+"}", vectorAppID, testAppID, 1))},
		"time as it comes": {vectorKey, sealed(`{"watermark":{"appid":"` + vectorAppID + `"}}`)},
	}
	for name, c := range cases {
		got, err := w.Decrypt(c.key, c.data)
		assert.Equal(t, &provider.Error{Op: "decrypt", Kind: provider.KindInvalidSession}, err, name)
		assert.Nil(t, got, name)
	}
}

// The padding is for blocks of 16 bytes in what a client sends, and of 32 in what WeChat pushes.
func TestDecryptCBCPadding(t *testing.T) {
	t.Parallel()
	key, iv := decodeBase64(vectorKey), decodeBase64(vectorIV)
	for name, c := range map[string]struct {
		block   int
		sealed  string
		text    string
		refused bool
	}{
		"one byte":               {16, strings.Repeat("a", 15) + "\x01", strings.Repeat("a", 15), false},
		"a block":                {16, strings.Repeat("\x10", 16), "", false},
		"more than a block":      {16, strings.Repeat("\x11", 32), "", true},
		"of blocks of 32":        {32, strings.Repeat("\x11", 32), strings.Repeat("\x11", 15), false},
		"a block of 32":          {32, strings.Repeat("\x20", 32), "", false},
		"more than that":         {32, strings.Repeat("\x21", 48), "", true},
		"more than there is":     {32, strings.Repeat("\x20", 16), "", true},
		"none":                   {16, strings.Repeat("\x00", 16), "", true},
		"the first is not alike": {16, strings.Repeat("a", 13) + "\x02\x03\x03", "", true},
	} {
		sealed := decodeBase64(sealText(key, iv, c.sealed))
		text, ok := decryptCBC(key, iv, sealed, c.block)
		assert.Equal(t, !c.refused, ok, name)
		assert.Equal(t, c.text, string(text), name)
	}
	for _, length := range []int{0, 15, 17} {
		_, ok := decryptCBC(key, iv, make([]byte, length), 16)
		assert.False(t, ok, length)
	}
	_, ok := decryptCBC(key[:15], iv, make([]byte, 16), 16)
	assert.False(t, ok, "no key of AES")
}

func TestDecryptWhatTheClientGets(t *testing.T) {
	t.Parallel()
	f := newActive(t)
	s, err := f.wechat.Exchange(t.Context(), f.code())
	require.NoError(t, err)
	e := f.fake.Encrypt(testOpenID, map[string]any{"nickName": "Band"})
	data := provider.EncryptedData{Data: e.Data, IV: e.IV, RawData: e.RawData, Signature: e.Signature}
	got, err := f.wechat.Decrypt(s.SessionKey, data)
	require.NoError(t, err)
	assert.Contains(t, string(got), `"nickName":"Band"`)

	require.NoError(t, f.exchange(t, 1))
	e = f.fake.Encrypt(testOpenID, map[string]any{"nickName": "Band"})
	_, err = f.wechat.Decrypt(s.SessionKey, provider.EncryptedData{Data: e.Data, IV: e.IV})
	f.fails(t, provider.KindInvalidSession, err)
}

// sealVector encrypts whole blocks with the vector's key and IV.
func sealVector(t *testing.T, plain string) provider.EncryptedData {
	t.Helper()
	return provider.EncryptedData{Data: sealText(decodeBase64(vectorKey), decodeBase64(vectorIV), plain), IV: vectorIV}
}

func sealText(key, iv []byte, plain string) string {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	b := []byte(plain)
	cipher.NewCBCEncrypter(c, iv).CryptBlocks(b, b)
	return base64.StdEncoding.EncodeToString(b)
}

func pad(text string, block int) string {
	n := block - len(text)%block
	return text + strings.Repeat(string(rune(n)), n)
}

func FuzzDecrypt(f *testing.F) {
	f.Add(vectorKey, vectorData, vectorIV, "", "")
	f.Add(vectorKey, vectorData[:64], vectorIV, "", "")
	f.Add(vectorRawKey, vectorData, vectorIV, vectorRaw, vectorSignature)
	f.Add("", "", "", "", "")
	w := newApp(f, vectorAppID, vectorTime)
	f.Fuzz(func(t *testing.T, key, data, iv, raw, signature string) {
		got, err := w.Decrypt(provider.Secret(key), provider.EncryptedData{
			Data: data, IV: iv, RawData: raw, Signature: signature,
		})
		if err != nil {
			assert.Equal(t, &provider.Error{Op: "decrypt", Kind: provider.KindInvalidSession}, err)
			assert.Nil(t, got)
			return
		}
		assert.True(t, json.Valid(got))
		assert.Contains(t, string(got), vectorAppID)
	})
}
