package controllers

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// signIn is the sign-in of a mini program. A crowd of them wait, for WeChat and for their turn, each with a stack of
// 8 KB: each step begins near its start, as it would not do otherwise.
type signIn struct {
	deps    *Deps
	request *http.Request
	params  params
	start   time.Time
	client  *object.Client // nil: none was found, see err

	token *object.Token
	err   error
	event object.SignInEvent
}

func (s *signIn) serve(w http.ResponseWriter) {
	if s.err == nil {
		s.token, s.err = s.exchange()
	}
	s.err = orLeft(s.request, s.err)
	s.note()
	s.log()
	s.answer(w)
}

// exchange turns the code into a token, if there is room for one more.
func (s *signIn) exchange() (token *object.Token, err error) {
	p, r := s.params, s.request
	if p["code"] == "" {
		return nil, badRequest("code is missing")
	}
	ctx := r.Context()
	pass, err := s.deps.Limits.signIn(ctx, s.deps.network(r))
	if err != nil {
		return nil, err
	}
	defer func() { pass.end(ctx, s.client.ID(), err) }()
	token, err = s.deps.Service.SignIn(ctx, object.SignInRequest{
		Client: s.client, Tag: p["tag"], AppID: p["app_id"], Code: p["code"],
		Nickname: p["username"], Avatar: p["avatar"],
		Issuer: s.deps.origin(r), ClientIP: s.deps.clientIP(r),
		Exchanged: pass.exchanged,
	})
	return token, s.deps.Limits.unsent(ctx, err)
}

// note keeps what admins see of the sign-in.
func (s *signIn) note() {
	e := &s.event
	*e = object.SignInEvent{
		Time: time.Now(), Outcome: object.SignedIn, Took: time.Since(s.start), ClientIP: s.deps.clientIP(s.request),
		RequestID: requestID(s.request.Context()),
	}
	if s.client != nil {
		e.Application, e.Organization = s.client.Application.Name, s.client.Organization.Name
		e.Provider = s.deps.Service.ProviderName(s.client, s.params["tag"], s.params["app_id"])
	}
	if s.err != nil {
		e.Outcome = string(apiError(s.err).Code)
		if upstream, ok := errors.AsType[*provider.Error](s.err); ok {
			e.Errcode = upstream.Code
		}
	} else {
		e.User, e.NewUser = s.token.UserName, s.token.NewUser
	}
	s.deps.Metrics.signIn(e.Took, s.token, s.err)
	s.deps.Watch.Add(*e)
}

// log writes the one line that each sign-in has. What the request says of itself is not logged: a client that mixes its
// parameters up would have its secret there.
func (s *signIn) log() {
	attrs := []slog.Attr{
		slog.String("application", s.event.Application), slog.Float64("seconds", s.event.Took.Seconds()),
	}
	if s.err != nil {
		logError(s.deps.Logger, s.request, "sign-in", apiError(s.err), append(attrs, upstreamAttrs(s.err)...)...)
		return
	}
	s.deps.Logger.LogAttrs(s.request.Context(), slog.LevelInfo, "sign-in", append(attrs, slog.String("outcome", "ok"),
		slog.Bool("new_user", s.event.NewUser))...)
}

func (s *signIn) answer(w http.ResponseWriter) {
	if s.err != nil {
		writeError(w, shapeOf(s.request.URL.Path), apiError(s.err))
		return
	}
	reply := newTokenReply(s.token)
	reply.NewUser = &s.token.NewUser
	writeJSON(w, http.StatusOK, reply)
}

func upstreamAttrs(err error) []slog.Attr {
	e, ok := errors.AsType[*provider.Error](err)
	if !ok {
		return nil
	}
	return []slog.Attr{
		slog.String("kind", e.Kind.String()), slog.Int("errcode", e.Code), slog.String("rid", e.RequestID),
		slog.String("hint", e.Hint),
	}
}
