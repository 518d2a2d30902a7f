package controllers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/beego/beego/v2/server/web/context"
	"github.com/stretchr/testify/assert"
)

// FuzzParams sends whatever a stranger may: it is understood, or refused as the sender's fault.
func FuzzParams(f *testing.F) {
	f.Add("tag=wechat_miniprogram", "application/x-www-form-urlencoded", "client_id=a&code=b")
	f.Add("", "application/json", `{"client_id":"a","code":"b","n":1,"t":true,"z":null}`)
	f.Add("a=%zz", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nb\r\n--x--\r\n")
	f.Add("a=1&a=2", "text/plain", `{"a":{}}`)
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		r := httptest.NewRequest(http.MethodPost, "/api/login/oauth/access_token", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		base := Base{}
		base.Ctx = context.NewContext()
		base.Ctx.Reset(httptest.NewRecorder(), r)
		p, err := base.params()
		if err != nil {
			assert.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, apiError(err).Status)
			return
		}
		for name, value := range p {
			assert.True(t, utf8.ValidString(name+value))
			assert.LessOrEqual(t, len(value), longParams(name))
		}
	})
}
