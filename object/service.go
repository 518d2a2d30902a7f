package object

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/minidoor/minidoor/object/picture"
	"github.com/minidoor/minidoor/provider"
)

// ServiceConfig is what the use cases need beside the Store. The zero value of a field means what its comment says.
type ServiceConfig struct {
	Registry        *provider.Registry // required
	Sealer          *Sealer            // required where there is a Store
	RefreshTokenJWT bool               // refresh tokens are JWTs, as Casdoor's; false: opaque, which saves a signature
	Files           Files              // keeps avatars; nil: none can be uploaded
	FilesURL        string             // where Files are public, with a slash at its end; empty: AvatarRequest says it
	Now             func() time.Time   // nil: time.Now
	Logger          *slog.Logger       // nil: silent
}

// withDefaults returns c with a clock and a Logger.
func (c ServiceConfig) withDefaults() ServiceConfig {
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return c
}

// Service is what mini programs ask for, wherever the users are. It is safe for concurrent use.
type Service struct {
	directory     directory
	tables        *tables // the directory, where it is one of tables; else nil
	registry      *provider.Registry
	sealer        *Sealer
	refreshJWT    bool
	now           func() time.Time
	log           *slog.Logger
	settings      *settings
	pings         pings
	claims        *claimWriter
	profileFields []profileField
	accountFields map[string][]int
	pictures      *picture.Maker
	files         Files
	filesURL      string

	verified *lru.Cache[[32]byte, *tokenClaims]
	checks   *cache // of sessions

	accountWriter     *claimWriter
	organizationTexts *lru.Cache[*sdk.Organization, []byte] // as JSON, as Account shows them

	turns   *queue[func() error] // to issue a token: see inTurn
	signing *queue[func() error] // signatures, as many at a time as there are processors
	hashing chan struct{}        // holds a value for each password that is being hashed
	hashers sync.Map             // the ids of users who ask for one of their own: see oneHash
	scans   chan struct{}        // holds one value while somebody reads a whole table: see scan
	ofUsers chan struct{}        // as scans: see scanUser
	making  chan struct{}        // holds one value while a cert is being made
	chores  chan struct{}        // holds a value when there is something to do for KeepHouse

	mu        sync.Mutex
	providers *lru.Cache[string, madeProvider] // by owner/name of the row
}

// maxProviders bounds the providers that are kept, at about 6 KB each: some come and go. One that is forgotten is made
// anew, and has to get another access token.
const maxProviders = 4096

// turnsPerProcessor is how many tokens are being issued at a time for each processor: enough to share queries and
// commits.
const turnsPerProcessor = 64

// madeProvider is a provider, and the settings that it was made with.
type madeProvider struct {
	provider.Provider
	config provider.Config
}

// newService returns the use cases on d. Its cfg has its defaults.
func newService(d directory, cfg ServiceConfig) *Service {
	s := &Service{
		directory: d, registry: cfg.Registry, sealer: cfg.Sealer, refreshJWT: cfg.RefreshTokenJWT,
		now: cfg.Now, log: cfg.Logger, files: cfg.Files, filesURL: cfg.FilesURL,
		turns:   newQueue(turnsPerProcessor*runtime.GOMAXPROCS(0), 1, runEach),
		signing: newQueue(runtime.GOMAXPROCS(0), 1, runEach),
		hashing: make(chan struct{}, max(1, runtime.NumCPU()/2)),
		scans:   make(chan struct{}, 1), ofUsers: make(chan struct{}, 1), making: make(chan struct{}, 1),
		chores: make(chan struct{}, 1),
		claims: newClaimWriter(), accountWriter: newAccountWriter(),
		profileFields: profileFields(), accountFields: accountFields(),
		pictures:          picture.New(avatarSides()...),
		settings:          newSettings(d, cfg.Now),
		providers:         newLRU[string, madeProvider](maxProviders),
		verified:          newLRU[[32]byte, *tokenClaims](maxVerified),
		checks:            newCache(cfg.Now, sessionCheckLife),
		organizationTexts: newLRU[*sdk.Organization, []byte](maxOrganizationTexts),
	}
	s.tables, _ = d.(*tables)
	return s
}

// inTurn issues a token when it is the caller's turn. Those of a crowd wait for it before they hold a user, claims and
// a deep stack: the garbage collector would take half the processors' time for that.
func (s *Service) inTurn(ctx context.Context, issue func() (*Token, error)) (token *Token, err error) {
	if s.tables == nil { // a remote Casdoor has limits of its own
		return issue()
	}
	err = s.turns.do(ctx, func() (err error) {
		token, err = issue()
		return err
	})
	return token, err
}

// Client returns the application with that client id. One that does not exist is a *Refusal with InvalidClient.
func (s *Service) Client(ctx context.Context, clientID string) (*Client, error) {
	c, err := s.settings.client(ctx, clientID)
	if errors.Is(err, ErrNotFound) {
		return nil, refuse(InvalidClient, "client_id is invalid")
	}
	return c, err
}

// SignsIn reports whether a token request with that tag is a mini program's sign-in.
func (s *Service) SignsIn(tag string) bool {
	_, ok := s.registry.ByTag(tag)
	return ok
}

// providerOf returns the provider of a row, made anew when the row's settings have changed.
func (s *Service) providerOf(m miniProgram, platform provider.Platform) (provider.Provider, error) {
	cfg := configOf(m.row)
	name := m.row.Owner + "/" + m.row.Name
	s.mu.Lock()
	defer s.mu.Unlock()
	if made, ok := s.providers.Get(name); ok && made.config == cfg {
		return made.Provider, nil
	}
	p, err := platform.New(cfg)
	if err != nil {
		return nil, err
	}
	s.providers.Add(name, madeProvider{p, cfg})
	return p, nil
}

func configOf(row *sdk.Provider) provider.Config {
	return provider.Config{
		Type: row.Type, SubType: row.SubType, ClientID: row.ClientId, ClientSecret: provider.Secret(row.ClientSecret),
	}
}

// ProviderName returns the name of the provider that a sign-in with that tag and AppID is for, or "".
func (s *Service) ProviderName(c *Client, tag, appID string) string {
	p := &person{request: SignInRequest{Client: c, Tag: tag, AppID: appID}}
	_ = s.choose(p) // then there is none
	if p.program.row == nil {
		return ""
	}
	return p.program.row.Name
}

func (s *Service) stamp() string { return timestamp(s.now()) }
