package idp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/minidoor/minidoor/provider"
)

const opCheckImage = "imgSecCheck"

const maxImage = 1 << 20

var errImage = errors.New("picture is empty, over 1 MiB, or neither JPEG nor PNG")

// CheckImage implements provider.ImageChecker. WeChat takes pictures up to 1 MiB and 750 × 1334 px: of these limits the
// first is checked here, and what exceeds it is of KindInvalidContent and never sent. The verdict has no Label.
//
// https://developers.weixin.qq.com/miniprogram/en/dev/api-backend/open-api/sec-check/security.imgSecCheck.html
func (w *WeChat) CheckImage(ctx context.Context, image []byte, contentType string) (provider.Verdict, error) {
	extension := map[string]string{"image/jpeg": "jpg", "image/png": "png"}[contentType]
	if extension == "" || len(image) == 0 || len(image) > maxImage {
		return provider.Verdict{}, invalidContent(opCheckImage, errImage)
	}
	sum := sha256.Sum256(image)
	key := "image:" + hex.EncodeToString(sum[:])
	return shared(ctx, w, opCheckImage, key, func(ctx context.Context) (provider.Verdict, error) {
		r := request{
			op:     opCheckImage,
			method: http.MethodPost,
			path:   "/wxa/img_sec_check",
			file:   &file{field: "media", name: "image." + extension, contentType: contentType, content: image},
		}
		err := w.callWithToken(ctx, r, &statusReply{})
		return orRisky(provider.Verdict{Suggestion: provider.SuggestPass}, err)
	})
}
