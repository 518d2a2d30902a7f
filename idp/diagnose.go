package idp

import "context"

// Diagnose implements provider.TokenDiagnoser. WeChat answers with the token there is, if it finds no fault.
func (w *WeChat) Diagnose(ctx context.Context) error {
	_, err := shared(ctx, w, opStableToken, "diagnose", w.fetchToken)
	return err
}
