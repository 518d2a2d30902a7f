package object

import (
	"context"
	"errors"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"

	"github.com/minidoor/minidoor/provider"
)

// ProviderOptions returns the options of a provider, with its secrets masked. One without any has the zero value.
func (a *Authority) ProviderOptions(ctx context.Context, c *Caller, owner, name string) (*ProviderOptions, error) {
	if err := c.check("update-provider", home{organization: owner}); err != nil {
		return nil, err
	}
	o, err := a.tables.optionsOf(ctx, owner, name)
	if err != nil {
		return nil, err
	}
	for _, secret := range []*provider.Secret{&o.PushToken, &o.PushEncodingAESKey} {
		if *secret != "" {
			*secret = mask
		}
	}
	return o, nil
}

// SetProviderOptions stores the options of the provider that they name. A secret that comes back masked stays as it is.
func (a *Authority) SetProviderOptions(ctx context.Context, c *Caller, o ProviderOptions) error {
	if err := c.check("update-provider", home{organization: o.Owner}); err != nil {
		return err
	}
	err := a.tables.write(ctx, func(tx *txn) error {
		// As whoever deletes a provider does, with its options: none are to be left of one that is gone.
		if err := a.tables.holdOrganization(tx, builtInName); err != nil {
			return err
		}
		if _, err := a.tables.providers.named(tx, o.Owner, o.Name); err != nil {
			return err
		}
		return a.storeOptions(tx, c, o)
	})
	a.settings.forget()
	return err
}

// ProvidersWith is Providers for the change of one: its options are stored with it, or neither is.
func (a *Authority) ProvidersWith(o ProviderOptions) *Family[sdk.Provider] {
	f := a.Providers()
	judge := f.judge
	f.judge = func(tx *txn, c *Caller, row, old *sdk.Provider) error {
		if err := judge(tx, c, row, old); err != nil {
			return err
		}
		o.Owner, o.Name = row.Owner, row.Name
		return a.storeOptions(tx, c, o)
	}
	return f
}

// storeOptions stores the options of a provider, under holdOrganization.
func (a *Authority) storeOptions(tx *txn, c *Caller, row ProviderOptions) error {
	t := a.tables.options
	old, err := t.get(tx, "WHERE "+byName+t.dialect.forUpdate, row.Owner, row.Name)
	if errors.Is(err, ErrNotFound) {
		old, err = nil, nil
	}
	if err == nil {
		err = completeOptions(&row, old)
	}
	if err != nil {
		return err
	}
	if old == nil {
		_, err = t.insert(tx, &row, "")
	} else {
		_, err = t.update(tx, &row, t.columnNames(), byName, row.Owner, row.Name)
	}
	if err != nil {
		return err
	}
	return a.recordChange(tx, c, "update-provider-options", row.Owner+"/"+row.Name)
}

// TestProvider asks the platform for an access token with a provider's settings. What is wrong is a *provider.Error; a
// platform that has no such tokens is a *Refusal with Unsupported.
func (a *Authority) TestProvider(ctx context.Context, c *Caller, owner, name string) error {
	if err := c.check("get-providers", home{organization: owner}); err != nil {
		return err
	}
	row, err := a.tables.providers.named(a.tables.read(ctx), owner, name)
	if err != nil {
		return err
	}
	platform, known := a.registry.ByType(row.Type)
	if !known {
		return refuse(Unsupported, "a provider of type %.40q is no mini program", row.Type)
	}
	upstream, err := a.providerOf(miniProgram{row: row}, platform)
	if err != nil {
		return err
	}
	tester, ok := upstream.(provider.TokenDiagnoser)
	if !ok {
		return refuse(Unsupported, "providers of type %.40q cannot be tested", row.Type)
	}
	return tester.Diagnose(ctx)
}

// MiniProgramTypes returns the types of providers that are mini programs of platforms that are known here.
func (s *Service) MiniProgramTypes() []string { return s.registry.Types() }

// IsMiniProgram reports whether a provider is a mini program of a platform that is known here.
func (s *Service) IsMiniProgram(p *sdk.Provider) bool {
	_, known := s.registry.ByType(p.Type)
	return known
}
