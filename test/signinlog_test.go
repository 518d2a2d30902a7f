package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/test/harness"
)

// Each sign-in leaves a line, also one that names no application.
func TestSignInLog(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.SignIn(t, "oNew")
	s.SignIn(t, "oNew")
	bad := s.Call(t, http.MethodPost, harness.PathToken, "", harness.SignInForm("no-code"))
	assert.Equal(t, http.StatusBadRequest, bad.Status)
	unknown := harness.SignInForm("no-code")
	unknown.Set("client_id", "nobody's")
	s.Call(t, http.MethodPost, harness.PathToken, "", unknown)
	s.Watch.Flush(t.Context())

	global := &object.Caller{Role: object.Global, Organization: "built-in"}
	entries, _, err := s.Service.SignIns(t.Context(), global, object.LogQuery{})
	require.NoError(t, err)
	require.Len(t, entries, 4)
	kinds := map[string]int{}
	for _, e := range entries {
		kinds[e.Organization+" "+e.Application+" "+e.Provider+" "+e.Outcome+" "+e.User]++
		assert.WithinDuration(t, time.Now(), e.Time, time.Minute)
		assert.Equal(t, "127.0.0.1", e.ClientIP)
		assert.NotEmpty(t, e.RequestID)
	}
	const shop = harness.Organization + " " + harness.Application + " " + harness.Provider
	assert.Equal(t, map[string]int{
		shop + " ok wechat-oNew": 2, shop + " invalid_grant ": 1, "   invalid_client ": 1,
	}, kinds)
	failed, _, err := s.Service.SignIns(t.Context(), global, object.LogQuery{Errcode: 40029})
	require.NoError(t, err)
	require.Len(t, failed, 1)
	assert.Equal(t, bad.Header.Get("X-Request-Id"), failed[0].RequestID)

	admin := &object.Caller{Role: object.Admin, Organization: harness.Organization}
	stats, err := s.Service.Statistics(t.Context(), admin, time.Hour)
	require.NoError(t, err)
	assert.Equal(t, []int64{2, 1}, []int64{stats.SignIns, stats.Users})
	assert.Equal(t, map[string]int64{"invalid_grant 40029": 1}, stats.Causes, "theirs only")
}

// A log that cannot be written keeps nobody from signing in.
func TestSignInLogLost(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, harness.Options{})
	s.Exec(t, `DROP TABLE mini_program_log`)
	s.SignIn(t, "oNew")
	s.Watch.Flush(t.Context())
	s.SignIn(t, "oNew")
	assert.Len(t, s.Log.Lines("the sign-in log loses lines"), 1)
}
