package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/idp"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
	"github.com/minidoor/minidoor/provider"
)

// attach opens what users and tokens are in, and sets the use cases on it. In remote mode there is no store.
func attach(
	ctx context.Context, deps *controllers.Deps, cfg *conf.Config, services object.ServiceConfig, stdout io.Writer,
) (store *object.Store, err error) {
	if cfg.Remote() {
		if err = openFiles(deps, &services, cfg); err == nil {
			deps.Service, err = object.NewRemoteService(ctx, remoteConfig(cfg), services)
		}
		return nil, err
	}
	if store, err = openStore(ctx, deps, cfg, stdout); err != nil {
		return nil, err
	}
	if err = attachStore(ctx, deps, cfg, services, store); err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

const lacksKey = "SessionKeys are sealed with another seal key: what is encrypted for their users cannot be read " +
	"until they sign in again. Instances of one database need one sealKey"

const lacksAvatars = "avatars that were uploaded are not there: instances need one avatarDir in common, and a " +
	"restored database needs the folder's back-up"

const noUpstream = "empty, though the database is a Casdoor's: what is for Casdoor is not passed on to it, and it " +
	"cannot refresh what signs in here, unless refreshTokenFormat is jwt"

func attachStore(
	ctx context.Context, deps *controllers.Deps, cfg *conf.Config, services object.ServiceConfig, store *object.Store,
) error {
	// After the database: the folder may be made, and must not make the database's.
	if err := openFiles(deps, &services, cfg); err != nil {
		return err
	}
	keys, err := cfg.SealKeyRing()
	if err != nil {
		return err
	}
	warnOfAvatars(ctx, deps.Logger, cfg, store)
	if store.Beside() && !cfg.Gateway() {
		deps.Logger.WarnContext(ctx, "casdoorUpstream is "+noUpstream)
	}
	if services.Sealer, err = object.NewSealer(keys); err != nil {
		return err
	}
	lacks, err := store.LacksKey(ctx, services.Sealer)
	if err != nil {
		return err
	}
	if lacks {
		deps.Logger.WarnContext(ctx, lacksKey, "sealKeyFile", cfg.SealKeyFile)
	}
	authority, err := object.NewAuthority(store, services)
	if err != nil {
		return err
	}
	deps.Service, deps.Console = authority.Service, authority
	if !cfg.Gateway() {
		deps.Authority = authority
	}
	return nil
}

// warnOfAvatars warns where the folder is another one than the database's. It is no reason not to start.
func warnOfAvatars(ctx context.Context, log *slog.Logger, cfg *conf.Config, store *object.Store) {
	if cfg.S3Endpoint != "" {
		return
	}
	switch lacks, err := store.LacksAvatar(ctx, cfg.AvatarDir); {
	case err != nil:
		log.WarnContext(ctx, "avatars that were uploaded cannot be looked at", "avatarDir", cfg.AvatarDir, "cause", err)
	case lacks:
		log.WarnContext(ctx, lacksAvatars, "avatarDir", cfg.AvatarDir)
	}
}

// openStore opens the database with all that is to be in it.
func openStore(
	ctx context.Context, deps *controllers.Deps, cfg *conf.Config, stdout io.Writer,
) (*object.Store, error) {
	database := storeConfig(cfg, deps.Logger)
	database.Observer = deps.Metrics
	store, first, err := object.Open(ctx, database)
	if err != nil {
		return nil, err
	}
	if cfg.InitDataFile != "" {
		err = store.ApplyInitData(ctx, cfg.InitDataFile, cfg.InitDataNewOnly)
	}
	// Before anything else may fail, with which the password would be lost.
	if first != nil && !store.InForce(ctx, first) {
		fmt.Fprintf(stdout, "First start: user %s, with the password of the init data file\n", first.AdminName)
	} else {
		tellFirstStart(stdout, first)
	}
	if err == nil && store.Beside() {
		_, err = store.Adopt(ctx, adoptionProgress(stdout))
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

func tellFirstStart(w io.Writer, first *object.FirstStart) {
	if first != nil {
		fmt.Fprintf(w, "First start: user %s, password %s (shown this once)\n", first.AdminName, first.AdminPassword)
	}
}

func storeConfig(cfg *conf.Config, log *slog.Logger) object.StoreConfig {
	return object.StoreConfig{
		DriverName: cfg.DriverName, DataSourceName: cfg.DataSourceName.Reveal(), DBName: cfg.DBName,
		TableNamePrefix: cfg.TableNamePrefix, Beside: cfg.Gateway(), Logger: log,
	}
}

func remoteConfig(cfg *conf.Config) object.RemoteConfig {
	remote := object.RemoteConfig{
		Endpoint: cfg.CasdoorEndpoint, ClientID: cfg.CasdoorClientID, ClientSecret: cfg.CasdoorClientSecret,
		AppSecrets: map[string]provider.Secret{},
	}
	for i, appID := range cfg.WeChatAppIDs {
		remote.AppSecrets[appID] = cfg.WeChatAppSecrets[i]
	}
	return remote
}

// serviceConfig returns what the use cases are set on. release must be called when nobody asks WeChat any more.
func serviceConfig(
	cfg *conf.Config, log *slog.Logger, observer idp.Observer,
) (services object.ServiceConfig, release func(), err error) {
	options := idp.Options{Endpoint: cfg.WeChatEndpoint, Logger: log, Observer: observer}
	release = func() {}
	if cfg.RedisEndpoint != "" {
		redis, err := idp.NewRedis(cfg.RedisEndpoint)
		if err != nil {
			return services, nil, err
		}
		options.Tokens, release = redis, func() { _ = redis.Close() }
	}
	return object.ServiceConfig{
		Registry: newRegistry(options), RefreshTokenJWT: cfg.RefreshTokenFormat == "jwt", Logger: log,
	}, release, nil
}

// newRegistry names the platforms whose mini programs sign in here.
func newRegistry(o idp.Options) *provider.Registry {
	registry, err := provider.NewRegistry(idp.WeChatPlatform(o))
	if err != nil {
		panic(err) // one platform cannot be there twice
	}
	return registry
}

// openFiles opens what avatars are kept in: the bucket where there is one, else the folder.
func openFiles(deps *controllers.Deps, services *object.ServiceConfig, cfg *conf.Config) error {
	if cfg.S3Endpoint != "" {
		bucket, err := newBucket(cfg)
		if err != nil {
			return err
		}
		services.Files, services.FilesURL = bucket, bucket.Public()
		return nil
	}
	folder, err := blob.NewFolder(cfg.AvatarDir, cfg.AvatarURL)
	if err != nil {
		return fmt.Errorf("avatarDir: %w", err)
	}
	services.Files, services.FilesURL, deps.Files = folder, folder.Public(), folder
	return nil
}

func newBucket(cfg *conf.Config) (*blob.Bucket, error) {
	return blob.NewBucket(blob.BucketConfig{
		Endpoint: cfg.S3Endpoint, Region: cfg.S3Region, Bucket: cfg.S3Bucket, AccessKey: cfg.S3AccessKey.Reveal(),
		SecretKey: cfg.S3SecretKey, PathStyle: cfg.S3PathStyle, PublicURL: cfg.S3PublicURL,
	})
}
