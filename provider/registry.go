package provider

import (
	"fmt"
	"strings"
	"unicode"
)

// Factory makes the Provider of one mini program. It reports a Config that can never work, such as one without
// AppSecret, as an *Error of KindMisconfigured.
type Factory func(Config) (Provider, error)

// Platform is an entry of the registry: a kind of mini program, and how Casdoor spells what belongs to it.
type Platform struct {
	Type   string  // Casdoor's provider type, such as "WeChatMiniProgram"
	Tag    string  // the tag of the token request that signs in with it, such as "wechat_miniprogram"
	Prefix string  // of the user's name ("wechat-<OpenID>") and properties ("wechatOpenId"); Casdoor's user column
	New    Factory // makes a Provider

	// PlaceholderNickname and PlaceholderAvatar tell what the platform gives in place of a profile that the user did
	// not share. Such a value must never overwrite a real one. Nil means that the platform has none.
	PlaceholderNickname func(string) bool
	PlaceholderAvatar   func(string) bool
}

// Registry maps Casdoor's provider types, and the tags of token requests, to platforms. It does not change once made.
type Registry struct {
	platforms []Platform
}

// NewRegistry returns a registry of the platforms. A platform without type, tag or factory, or whose type or tag is
// already taken, is an error that names it.
func NewRegistry(platforms ...Platform) (*Registry, error) {
	r := &Registry{}
	for _, p := range platforms {
		if p.Type == "" || p.Tag == "" || p.New == nil {
			return nil, fmt.Errorf("platform %q: type, tag and factory are required", p.Type)
		}
		if _, taken := r.ByType(p.Type); taken {
			return nil, fmt.Errorf("platform %q: type is registered twice", p.Type)
		}
		if _, taken := r.ByTag(p.Tag); taken {
			return nil, fmt.Errorf("platform %q: tag %q is registered twice", p.Type, p.Tag)
		}
		r.platforms = append(r.platforms, p)
	}
	return r, nil
}

// ByTag returns the platform that signs in with tag.
func (r *Registry) ByTag(tag string) (Platform, bool) {
	return r.find(func(p Platform) bool { return p.Tag == tag })
}

// ByType returns the platform of Casdoor's provider type typ.
func (r *Registry) ByType(typ string) (Platform, bool) {
	return r.find(func(p Platform) bool { return p.Type == typ })
}

// MeantBy returns the platform whose type an unknown one is but for case, spaces and signs.
func (r *Registry) MeantBy(typ string) (Platform, bool) {
	return r.find(func(p Platform) bool { return strings.EqualFold(bare(p.Type), bare(typ)) })
}

// bare returns the letters and digits of a text.
func bare(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) || unicode.IsDigit(c) {
			return c
		}
		return -1
	}, text)
}

// ByPrefix returns the platform whose users' names and properties begin with prefix.
func (r *Registry) ByPrefix(prefix string) (Platform, bool) {
	return r.find(func(p Platform) bool { return p.Prefix == prefix })
}

// Types returns the types of Casdoor's providers that are known.
func (r *Registry) Types() []string {
	var types []string
	for _, p := range r.platforms {
		types = append(types, p.Type)
	}
	return types
}

// Prefixes returns what the users' names of each platform begin with.
func (r *Registry) Prefixes() []string {
	var prefixes []string
	for _, p := range r.platforms {
		prefixes = append(prefixes, p.Prefix)
	}
	return prefixes
}

// IsPlaceholderNickname reports whether any platform gives name to users who did not share theirs.
func (r *Registry) IsPlaceholderNickname(name string) bool {
	_, found := r.find(func(p Platform) bool { return p.PlaceholderNickname != nil && p.PlaceholderNickname(name) })
	return found
}

// IsPlaceholderAvatar reports whether any platform gives the picture at url to users who did not share theirs.
func (r *Registry) IsPlaceholderAvatar(url string) bool {
	_, found := r.find(func(p Platform) bool { return p.PlaceholderAvatar != nil && p.PlaceholderAvatar(url) })
	return found
}

func (r *Registry) find(match func(Platform) bool) (Platform, bool) {
	for _, p := range r.platforms {
		if match(p) {
			return p, true
		}
	}
	return Platform{}, false
}
