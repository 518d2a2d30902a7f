package object

import (
	"context"
	"log/slog"
	"net/url"

	"github.com/minidoor/minidoor/provider"
)

// pushTarget is a provider whose platform pushes messages.
type pushTarget struct {
	program  miniProgram
	platform provider.Platform
	receiver provider.PushReceiver
}

// VerifyPush answers the platform's question whether the address of the provider's pushed messages is ours: echo is the
// whole answer, as plain text. A provider that does not exist, or takes no pushed messages, is ErrNotFound; a question
// that is not the platform's is a *provider.Error of KindInvalidPush.
func (s *Service) VerifyPush(ctx context.Context, providerName string, query url.Values) (echo string, err error) {
	target, err := s.pushTarget(ctx, providerName)
	if err != nil {
		return "", err
	}
	return target.receiver.VerifyPush(target.program.options.push(), query)
}

// Push reads a pushed message and does what it asks for, in one transaction and once, however often it is delivered.
// When it returns nil the message may be acknowledged; its errors are those of VerifyPush. An event that means nothing
// here is logged by its name.
func (s *Service) Push(ctx context.Context, providerName string, query url.Values, body []byte) error {
	target, err := s.pushTarget(ctx, providerName)
	if err != nil {
		return err
	}
	event, err := target.receiver.OpenPush(target.program.options.push(), query, body)
	if err != nil {
		return err
	}
	outcome, err := s.handle(ctx, target, event)
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "pushed message", slog.String("provider", providerName),
		slog.String("event", event.Name), slog.String("outcome", outcome))
	return nil
}

// pushTarget returns the provider of that name. A setting that is changed elsewhere is seen within settingsTTL.
func (s *Service) pushTarget(ctx context.Context, name string) (*pushTarget, error) {
	if s.tables == nil {
		return nil, noTables()
	}
	program, err := load(ctx, s.settings.cache, "push/"+name, func(ctx context.Context) (miniProgram, error) {
		return s.tables.pushProgram(ctx, name)
	})
	if err != nil {
		return nil, err
	}
	target := &pushTarget{program: program}
	var ok bool
	if target.platform, ok = s.registry.ByType(target.program.row.Type); !ok {
		return nil, ErrNotFound
	}
	upstream, err := s.providerOf(target.program, target.platform)
	if err != nil {
		return nil, err
	}
	if target.receiver, ok = upstream.(provider.PushReceiver); !ok {
		return nil, ErrNotFound
	}
	return target, nil
}

// pushProgram returns the provider of that name, if messages are pushed to it.
func (t *tables) pushProgram(ctx context.Context, name string) (none miniProgram, err error) {
	row, err := t.providers.get(t.read(ctx), "WHERE name=? ORDER BY owner", name)
	if err != nil {
		return none, err
	}
	options, err := t.optionsOf(ctx, row.Owner, row.Name)
	if err != nil {
		return none, err
	}
	if options.PushToken == "" || row.Name != name { // the database may take another case for the same
		return none, ErrNotFound
	}
	return miniProgram{row: row, options: *options}, nil
}

// handle acts on an event, and says for the log how it went.
func (s *Service) handle(ctx context.Context, target *pushTarget, e provider.PushEvent) (outcome string, err error) {
	trace := traceKey(target.program.row, e.Verdict.TraceID)
	var act func(*txn) (string, error)
	switch e.Name {
	case provider.PushRevoked, provider.PushProfileCleaned:
		act = func(tx *txn) (string, error) { return s.withdraw(tx, target, e) }
	case provider.PushAccountClosed:
		act = func(tx *txn) (string, error) { return s.closeAccounts(tx, target, e) }
	case provider.PushMediaChecked:
		act = func(tx *txn) (string, error) {
			return "verdict is stored", s.tables.storeVerdict(tx, trace, e, s.stamp())
		}
	default:
		return "means nothing here", nil
	}
	err = s.tables.write(ctx, func(tx *txn) error {
		row := &Event{target.program.row.Name, e.Key, e.Name, s.stamp()}
		fresh, err := s.tables.events.insert(tx, row, s.tables.dialect.orIgnore("name"))
		if err != nil || !fresh {
			outcome = "was delivered before"
			return err
		}
		outcome, err = act(tx)
		return err
	})
	if err == nil && e.Name == provider.PushMediaChecked {
		err = s.settleTrace(ctx, trace)
	}
	s.wake()
	return outcome, err
}

// storeVerdict keeps the verdict on a picture for whoever has given the picture to the platform.
func (t *tables) storeVerdict(tx *txn, trace string, e provider.PushEvent, stamp string) error {
	row := &Media{trace, string(e.Verdict.Suggestion), e.Verdict.Label, e.Code, stamp}
	_, err := t.media.insert(tx, row, t.dialect.orUpdate(
		[]string{"trace_id"}, []string{"suggestion", "label", "code", "updated_time"}))
	return err
}
