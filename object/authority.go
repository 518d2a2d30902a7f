package object

import "errors"

// Authority is a Service that is the Casdoor itself: what else the clients of a Casdoor ask for, where no other one
// answers them. Its directory is one of tables.
type Authority struct{ *Service }

// NewAuthority returns the use cases on store.
func NewAuthority(store *Store, cfg ServiceConfig) (*Authority, error) {
	if cfg.Sealer == nil || cfg.Registry == nil {
		return nil, errors.New("a service needs a registry and a sealer")
	}
	cfg = cfg.withDefaults()
	return &Authority{newService(newTables(store, cfg), cfg)}, nil
}
