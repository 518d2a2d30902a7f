package object

import (
	"errors"

	"github.com/minidoor/minidoor/provider"
)

// RemoteConfig says which Casdoor is reached through its API. All fields are required.
type RemoteConfig struct {
	Endpoint     string          // base URL
	ClientID     string          // of an application of the organization
	ClientSecret provider.Secret // of that application
	AppSecrets   map[string]provider.Secret
}

// NewRemoteService returns the use cases on a Casdoor's API.
func NewRemoteService(RemoteConfig, ServiceConfig) (*Service, error) {
	return nil, errors.New("not yet")
}
