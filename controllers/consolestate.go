package controllers

import (
	"context"
	"time"

	"github.com/minidoor/minidoor/provider"
)

// part is how something that the server needs does. Good is how it looks: "good", "bad" or "": nobody knows.
type part struct {
	Name string // ends the keys of its texts
	Good string
	Key  string // of what there is to say
	Time string // when that was; empty: now
	Code int    // of the platform; 0: none
}

// stateOf asks how everything does. It is about this instance.
func (v *visit) stateOf() []part {
	return []part{v.platformPart(), v.databasePart(), v.redisPart()}
}

func (v *visit) platformPart() part {
	p := part{Name: "wechat", Key: "state.unknown"}
	if v.Deps.Metrics == nil {
		return p
	}
	state := &v.Deps.Metrics.platform
	answered, failure := state.last()
	switch {
	case state.down():
		p.Good, p.Key = "bad", "state.down"
	case failure != nil:
		p.Good, p.Key, p.Time, p.Code = "bad", "state.failed", stamped(failure.at), failure.code
		if failure.kind == provider.KindMisconfigured {
			p.Key = "state.misconfigured"
		}
	case !answered.IsZero():
		p.Good, p.Key, p.Time = "good", "state.answered", stamped(answered)
	}
	return p
}

func stamped(at time.Time) string { return at.UTC().Format(time.RFC3339) }

func (v *visit) databasePart() part {
	ctx, cancel := context.WithTimeout(v.r.Context(), time.Second)
	defer cancel()
	if err := v.Deps.Service.Ping(ctx); err != nil {
		return part{Name: "database", Good: "bad", Key: "state.silent"}
	}
	return part{Name: "database", Good: "good", Key: "state.answers"}
}

func (v *visit) redisPart() part {
	if v.Deps.Limits.redis == nil {
		return part{Name: "redis", Key: "state.none"}
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), time.Second)
	defer cancel()
	if err := v.Deps.Limits.redis.Ping(ctx).Err(); err != nil {
		return part{Name: "redis", Good: "bad", Key: "state.alone"}
	}
	return part{Name: "redis", Good: "good", Key: "state.answers"}
}
