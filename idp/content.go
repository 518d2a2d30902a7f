package idp

import (
	"errors"

	"github.com/minidoor/minidoor/provider"
)

const (
	contentVersion = 2
	sceneProfile   = 1
)

// judgement is WeChat's verdict on content, in a reply or a pushed message.
type judgement struct {
	Suggest string `json:"suggest" xml:"suggest"`
	Label   number `json:"label" xml:"label"`
}

// verdict takes advice that is not known for one to look closer.
func (j judgement) verdict(traceID string) provider.Verdict {
	v := provider.Verdict{
		Suggestion: provider.Suggestion(j.Suggest), Label: int(j.Label), TraceID: traceID,
	}
	if v.Suggestion != provider.SuggestPass && v.Suggestion != provider.SuggestRisky {
		v.Suggestion = provider.SuggestReview
	}
	return v
}

// orRisky returns v, or what err means: WeChat's older calls say "risky" by an errcode.
func orRisky(v provider.Verdict, err error) (provider.Verdict, error) {
	if err == nil {
		return v, nil
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Code == codeRisky {
		return provider.Verdict{Suggestion: provider.SuggestRisky, TraceID: e.RequestID}, nil
	}
	return provider.Verdict{}, err
}

func invalidContent(op string, cause error) *provider.Error {
	return &provider.Error{Op: op, Kind: provider.KindInvalidContent, Err: cause}
}
