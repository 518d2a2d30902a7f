package idp

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
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
	_, err := w.Decrypt(vectorKey, sealed("{"+mark+"}"))
	require.NoError(t, err, "the helper is right")

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
		"long data":    {vectorKey, change(func(d *provider.EncryptedData) { d.Data = strings.Repeat("A", 1<<17) })},
		"no iv":        {vectorKey, change(func(d *provider.EncryptedData) { d.IV = "" })},
		"long iv":      {vectorKey, change(func(d *provider.EncryptedData) { d.IV += d.IV })},
		"bad iv":       {vectorKey, change(func(d *provider.EncryptedData) { d.IV = "!" })},
		"another iv":   {vectorKey, change(func(d *provider.EncryptedData) { d.IV = vectorKey })},
		"wrong signature": {vectorKey, change(func(d *provider.EncryptedData) {
			d.RawData, d.Signature = "{}", vectorSignature
		})},
		"no raw data":      {vectorKey, change(func(d *provider.EncryptedData) { d.Signature = vectorSignature })},
		"no signature":     {vectorKey, change(func(d *provider.EncryptedData) { d.RawData = "{}" })},
		"long raw data":    {vectorKey, change(func(d *provider.EncryptedData) { d.RawData = strings.Repeat("x", 1<<17) })},
		"no padding":       {vectorKey, sealVector(t, "{"+mark+"}"+strings.Repeat(" ", 16-(len(mark)+2)%16))},
		"zero padding":     {vectorKey, sealVector(t, strings.Repeat("\x00", 16))},
		"uneven padding":   {vectorKey, sealVector(t, "{"+mark+"}"+strings.Repeat("\x01", 16-(len(mark)+3)%16)+"\x02")},
		"padding of 17":    {vectorKey, sealVector(t, strings.Repeat("\x11", 32))},
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
