package main

import (
	"fmt"
	"math/rand/v2"
)

// operation is something that clients do.
type operation struct {
	name     string
	signedIn bool // each worker is a user with an access token; else it signs in, which floor can do too
	want     string
	requests func(s *site, a algorithm, tokens []string) requester
}

// requester appends the n-th request of a worker to buf. The series tells the requests of measurements apart.
type requester func(buf []byte, series, worker, n int) []byte

// The names of the operations.
const (
	returningSignIn = "sign-in, returning"
	halfRate        = "sign-in, half rate"
	newSignIn       = "sign-in, new"
	accountRead     = "account read"
	profileUpdate   = "profile update"
)

// operations has the one that makes users at the end: those before it find as many as they are told.
func operations() []operation {
	const token = `"access_token":"ey`
	return []operation{
		{returningSignIn, false, token, func(s *site, a algorithm, _ []string) requester {
			return signInRequests(a, func(int, int, int) string { return openID(rand.IntN(s.users)) })
		}},
		{accountRead, true, `"status":"ok"`, func(_ *site, _ algorithm, tokens []string) requester {
			return accountRequests(tokens)
		}},
		{profileUpdate, true, `"data":"Affected"`, func(s *site, _ algorithm, tokens []string) requester {
			return updateRequests(tokens, s.users)
		}},
		{newSignIn, false, token, func(_ *site, a algorithm, _ []string) requester {
			return signInRequests(a, func(series, worker, n int) string {
				return fmt.Sprintf("oNew-%d-%d-%d", series, worker, n)
			})
		}},
	}
}

func signInRequests(a algorithm, openID func(series, worker, n int) string) requester {
	clientID := a.clientID()
	return func(buf []byte, series, worker, n int) []byte {
		body := fmt.Appendf(nil, "tag=wechat_miniprogram&client_id=%s&code=u:%s::%d-%d-%d",
			clientID, openID(series, worker, n), series, worker, n)
		return appendPost(buf, "/api/login/oauth/access_token", "application/x-www-form-urlencoded", "", body)
	}
}

func accountRequests(tokens []string) requester {
	return func(buf []byte, _, worker, _ int) []byte {
		buf = append(buf, "GET /api/get-account HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer "...)
		return append(append(buf, tokens[worker]...), "\r\n\r\n"...)
	}
}

func updateRequests(tokens []string, users int) requester {
	return func(buf []byte, series, worker, n int) []byte {
		name := "wechat-" + openID(worker%users)
		body := fmt.Appendf(nil,
			`{"owner":"bench","name":%q,"displayName":"name %d-%d-%d","avatar":"https://example.com/%d/%d.png"}`,
			name, series, worker, n, series, n)
		path := "/api/update-user?columns=display_name,avatar&id=bench/" + name
		return appendPost(buf, path, "application/json", tokens[worker], body)
	}
}

func appendPost(buf []byte, path, contentType, token string, body []byte) []byte {
	buf = fmt.Appendf(buf, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n",
		path, contentType, len(body))
	if token != "" {
		buf = append(append(append(buf, "Authorization: Bearer "...), token...), "\r\n"...)
	}
	return append(append(buf, "\r\n"...), body...)
}
