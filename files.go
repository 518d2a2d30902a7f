package main

import (
	"fmt"

	"github.com/minidoor/minidoor/conf"
	"github.com/minidoor/minidoor/controllers"
	"github.com/minidoor/minidoor/object"
	"github.com/minidoor/minidoor/object/blob"
)

// openFiles opens what avatars are kept in: the bucket where there is one, else the folder.
func openFiles(deps *controllers.Deps, services *object.ServiceConfig, cfg *conf.Config) error {
	if cfg.S3Endpoint != "" {
		bucket, err := blob.NewBucket(blob.BucketConfig{
			Endpoint: cfg.S3Endpoint, Region: cfg.S3Region, Bucket: cfg.S3Bucket, AccessKey: cfg.S3AccessKey.Reveal(),
			SecretKey: cfg.S3SecretKey, PathStyle: cfg.S3PathStyle, PublicURL: cfg.S3PublicURL,
		})
		if err != nil {
			return err
		}
		services.Files, services.FilesURL = bucket, bucket.URL("")
		return nil
	}
	folder, err := blob.NewFolder(cfg.AvatarDir, cfg.AvatarURL)
	if err != nil {
		return fmt.Errorf("avatarDir: %w", err)
	}
	services.Files, services.FilesURL, deps.Files = folder, folder.URL(""), folder
	return nil
}
