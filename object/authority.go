package object

import (
	"errors"
	"runtime"
)

// Authority is a Service that is the Casdoor itself: what else the clients of a Casdoor ask for, where no other one
// answers them.
type Authority struct {
	*Service
	store   *Store
	hashing chan struct{} // holds a value for each password that is being hashed
}

// NewAuthority returns the use cases on store.
func NewAuthority(store *Store, cfg ServiceConfig) (*Authority, error) {
	if cfg.Sealer == nil || cfg.Registry == nil {
		return nil, errors.New("a service needs a registry and a sealer")
	}
	cfg = cfg.withDefaults()
	service, err := newService(newTables(store, cfg), cfg)
	if err != nil {
		return nil, err
	}
	return &Authority{service, store, make(chan struct{}, max(1, runtime.NumCPU()/2))}, nil
}
