package controllers

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/provider"
)

// LimitsConfig says how much clients may ask for. What is per something is a number a minute, which may also come all
// at once; 0 sets no limit, as in all fields.
type LimitsConfig struct {
	PerIP          int // requests
	PerApplication int // token requests
	PerOpenID      int // sign-ins and content checks
	FailedPerIP    int // sign-ins whose code the platform refuses
	FailedShare    int // per cent of an application's sign-ins: while more fail, each counts strictWeight times
	MaxSignIns     int // at one time
	MaxWaiting     int // requests that wait for a signature or the database, at one time
	MaxUploads     int // pictures that are arriving or being stored, at one time
	MaxPassedOn    int // requests that a gateway has passed on and are not answered yet

	Backlog       func() int       // how many writes wait for the database now; nil: unknown
	Redis         *redis.Client    // shares what is per something with other instances; nil: each counts for itself
	RedisPatience time.Duration    // what a slow or dead Redis may add to a request, each time it is asked; 0: 100 ms
	Now           func() time.Time // nil: time.Now
	Metrics       *Metrics         // nil: off
	Logger        *slog.Logger     // nil: silent
}

// Limits turns away what is too much, at once. It is safe for concurrent use.
type Limits struct {
	perIP, perApplication, perOpenID *limit
	failed                           *failures
	signIns, working, uploads        gate
	asking                           gate  // requests that have the database asked who or what they name
	uploaders                        tally // users who upload
	exporters                        tally // users whose export is on its way
	bodies                           gate  // requests with a large one
	passedOn                         gate  // requests that the Casdoor behind a gateway has
	pace                             pace  // of what works with signature and database
	backlog                          func() int
	refusals                         *refusals
	redis                            *redis.Client // nil: nothing is shared
}

// The reasons why a request is turned away, as metrics and logs name them.
const (
	overIP          = "ip"
	overApplication = "application"
	overOpenID      = "openid"
	overFailed      = "failed"
	overSignIns     = "sign_ins"
	overWaiting     = "waiting"
	overUploads     = "uploads"
	overExports     = "exports"
	overBodies      = "bodies"
	overPassedOn    = "passed_on"
	overBreaker     = "breaker" // of the platform, which is down
)

func limitReasons() []string {
	return []string{
		overIP, overApplication, overOpenID, overFailed, overSignIns, overWaiting, overUploads, overExports, overBodies,
		overPassedOn, overBreaker,
	}
}

// NewLimits returns the limits of cfg, and has cfg.Metrics show them.
func NewLimits(cfg LimitsConfig) *Limits {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	shared := newSharedLimits(cfg)
	l := &Limits{
		perIP:          newLimit(overIP, cfg.PerIP, cfg.Now, shared),
		perApplication: newLimit(overApplication, cfg.PerApplication, cfg.Now, shared),
		perOpenID:      newLimit(overOpenID, cfg.PerOpenID, cfg.Now, shared),
		failed:         newFailures(cfg, shared),
		signIns:        gate{max: int64(cfg.MaxSignIns)},
		working:        gate{max: int64(cfg.MaxWaiting)},
		asking:         gate{max: int64(cfg.MaxWaiting)},
		uploads:        gate{max: int64(cfg.MaxUploads)},
		bodies:         gate{max: maxLargeBodies},
		passedOn:       gate{max: int64(cfg.MaxPassedOn)},
		backlog:        cfg.Backlog,
		refusals:       newRefusals(cfg.Metrics, cfg.Logger),
		redis:          cfg.Redis,
	}
	cfg.Metrics.watchLimits(l, shared)
	return l
}

// limit is one kind of limit: of this instance, and of all where they share. A nil *limit is none.
type limit struct {
	name   string
	local  *buckets
	shared *sharedLimits
}

func newLimit(name string, perMinute int, now func() time.Time, shared *sharedLimits) *limit {
	if perMinute == 0 {
		return nil
	}
	return &limit{name, newBuckets(perMinute, now), shared}
}

// take counts one event, and returns 0 if it is within the limit, or else how long to wait. What is too much for this
// instance alone does not bother Redis.
func (l *limit) take(ctx context.Context, key string) time.Duration {
	if l == nil || key == "" {
		return 0
	}
	if wait := l.local.take(key); wait > 0 {
		return wait
	}
	return l.shared.take(ctx, l.name+":"+key, l.local.burst, 1)
}

// request counts a request of a client address.
func (l *Limits) request(ctx context.Context, network string) error {
	return l.judge(ctx, overIP, l.perIP.take(ctx, network))
}

// application counts a token request for an application that exists.
func (l *Limits) application(ctx context.Context, clientID string) error {
	return l.judge(ctx, overApplication, l.perApplication.take(ctx, clientID))
}

// openID counts a sign-in of a mini program's user, and each time that the platform is asked about their content:
// object.Principal calls it.
func (l *Limits) openID(ctx context.Context, appID, openID string) error {
	return l.judge(ctx, overOpenID, l.perOpenID.take(ctx, appID+"/"+openID))
}

func (l *Limits) judge(ctx context.Context, reason string, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	l.refusals.add(ctx, reason)
	return &APIError{
		Status: http.StatusTooManyRequests, Code: object.SlowDown, Message: "too many requests: try again later",
		RetryAfter: wait, Told: true,
	}
}

// network returns what the limits take for one client: an IPv4 address, or the /64 of an IPv6 one, which is what a
// household gets. It returns "" where the client is unknown, because a trusted proxy does not name it: a limit would
// then be one for all clients together.
func (d *Deps) network(r *http.Request) string {
	address := d.clientIP(r)
	ip, err := netip.ParseAddr(address)
	if err != nil || d.trustsIP(ip) {
		return ""
	}
	const household = 64
	if ip.Is6() {
		return netip.PrefixFrom(ip, household).Masked().String()
	}
	return ip.String()
}

// pass is a sign-in that has been let in.
type pass struct {
	limits  *Limits
	network string
	back    func()    // tells that the platform has answered; nil: it has, or nobody asks
	began   time.Time // when the platform had answered with whose code it was; zero: not yet
}

// signIn lets a sign-in in, or says why not. The pass must end. A sign-in that is let in is not turned away later for
// want of room.
func (l *Limits) signIn(ctx context.Context, network string) (*pass, error) {
	back, wait := l.failed.send(network)
	err := l.judge(ctx, overFailed, wait)
	switch {
	case err != nil:
	case l.full() || l.behind(l.signIns.count()): // those at the platform are still to come
		err = l.busy(ctx, overWaiting)
	case !l.signIns.enter():
		err = l.busy(ctx, overSignIns)
	}
	if err != nil {
		back()
		return nil, err
	}
	return &pass{limits: l, network: network, back: back}, nil
}

// answered tells that the sign-in's code is not at the platform any more.
func (p *pass) answered() {
	if p.back != nil {
		p.back()
		p.back = nil
	}
}

// exchanged hears that the platform has answered, with whose code it was: object.SignInRequest calls it.
func (p *pass) exchanged(ctx context.Context, appID, openID string) error {
	p.answered()
	p.began = time.Now()
	p.limits.working.add(1)
	return p.limits.openID(ctx, appID, openID)
}

// end counts how the sign-in ended for the budget of failed ones, also when its client has left, and gives its place
// free.
func (p *pass) end(ctx context.Context, clientID string, err error) {
	if !p.began.IsZero() {
		p.limits.leave(p.began)
	}
	p.limits.signIns.add(-1)
	p.limits.failed.judge(ctx, p.network, clientID, err)
	p.answered()
}

// worked returns what work does, which goes straight to signing or the database.
func worked[T any](ctx context.Context, l *Limits, work func() (T, error)) (none T, err error) {
	if l.full() || !l.working.enter() {
		return none, l.busy(ctx, overWaiting)
	}
	defer l.leave(time.Now())
	return work()
}

// leave counts that work is done.
func (l *Limits) leave(began time.Time) {
	l.working.add(-1)
	l.pace.done(began, time.Now(), l.working.count())
}

// asked returns what ask does, which has the database asked for what anybody may name: an application, a session. As
// many as may wait for work may do so, and are counted apart, lest those who name what is not there take the places of
// sign-ins, or a crowd that of an admin who looks what is wrong.
func asked[T any](ctx context.Context, l *Limits, ask func() (T, error)) (none T, err error) {
	if !l.asking.enter() {
		return none, l.busy(ctx, overWaiting)
	}
	defer l.asking.add(-1)
	return ask()
}

// export lets a user's export begin, which is in memory until its client has read it: one of each user at a time. leave
// must be called when it is read.
func (l *Limits) export(ctx context.Context, user string) (leave func(), err error) {
	if !l.exporters.enter(user, 1) {
		return nil, l.judge(ctx, overExports, busyRetry())
	}
	return func() { l.exporters.leave(user) }, nil
}

// maxUploadsPerUser is how many pictures of one user may be arriving or being stored at one time, where there is a
// limit of all: more would let a few users, who may send as slowly as a phone does, take all places. It is more than
// one, as the server hears late that an upload has broken off.
const maxUploadsPerUser = 4

// upload lets a picture in, which takes room for temporary files; leave must be called when that is free again. user is
// the id of who uploads for nobody else; empty: a back end or an admin.
func (l *Limits) upload(ctx context.Context, user string) (leave func(), err error) {
	most := maxUploadsPerUser
	if user == "" || l.uploads.max == 0 {
		most = math.MaxInt
	}
	if !l.uploaders.enter(user, most) {
		return nil, l.judge(ctx, overUploads, busyRetry())
	}
	if !l.uploads.enter() {
		l.uploaders.leave(user)
		return nil, l.busy(ctx, overUploads)
	}
	return func() {
		l.uploads.add(-1)
		l.uploaders.leave(user)
	}, nil
}

// passOn lets a request pass on to the Casdoor, for as long as that takes; leave must be called when it is done.
func (l *Limits) passOn(ctx context.Context) (leave func(), err error) {
	if !l.passedOn.enter() {
		return nil, l.busy(ctx, overPassedOn)
	}
	return func() { l.passedOn.add(-1) }, nil
}

// tooLong is how long a sign-in may take behind the platform's answer: else it could be cut off by requestTimeout.
const tooLong = requestTimeout / 2

// full reports whether so many wait already, or so many for their pace, that a new one had better come later.
func (l *Limits) full() bool {
	waiting := l.working.count()
	if l.backlog != nil {
		waiting = max(waiting, int64(l.backlog()))
	}
	return l.working.max > 0 && waiting >= l.working.max || l.behind(waiting)
}

// behind reports whether one behind so many would wait too long.
func (l *Limits) behind(waiting int64) bool {
	return l.working.max > 0 && l.pace.wait(waiting) > tooLong
}

// unsent returns err as one of many that the log has few lines for, where the breaker of a platform that is down keeps
// the sign-ins from it.
func (l *Limits) unsent(ctx context.Context, err error) error {
	upstream, ok := errors.AsType[*provider.Error](err)
	if !ok || !upstream.Unsent {
		return err
	}
	l.refusals.add(ctx, overBreaker)
	e := upstreamError(upstream)
	e.Told = true
	return e
}

func (l *Limits) busy(ctx context.Context, reason string) error {
	l.refusals.add(ctx, reason)
	e := unavailable("The server is busy, please try again", busyRetry(), nil)
	e.Told = true
	return e
}
