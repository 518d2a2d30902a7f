package object

import (
	"context"
	"maps"

	sdk "github.com/casdoor/casdoor-go-sdk/casdoorsdk"
	"github.com/minidoor/minidoor/provider"
	"github.com/nyaruka/phonenumbers"
)

// phoneVerified ends the name of the user's property, such as wechatPhoneVerified, that holds the number which the
// platform has verified, in the form of E.164. The phone is verified while it is this one: Casdoor has no field for it,
// and an admin may enter another number later.
const phoneVerified = "PhoneVerified"

// StorePhone turns a code of the phone button into the phone number of the principal, and stores it as verified by the
// platform. A number may be that of other accounts too: it identifies nobody. The code is single-use, so what the
// settings forbid is refused before it is sent. appID chooses among several mini programs; empty: the last one.
func (s *Service) StorePhone(ctx context.Context, p *Principal, appID, code string) error {
	m, err := s.member(ctx, p, appID)
	if err != nil {
		return err
	}
	fetcher, err := capable[provider.PhoneFetcher](m)
	if err != nil {
		return err
	}
	org, err := s.settings.organization(ctx, p.User.Owner)
	if err != nil {
		return err
	}
	if err := s.profileRules(org).allowField(profileField{json: "phone", item: "Phone"}, ""); err != nil {
		return err
	}
	// A client that leaves does not stop what the platform counts, as in SignIn.
	phone, err := fetcher.Phone(context.WithoutCancel(ctx), m.identity.OpenID, code)
	if err != nil {
		return err
	}
	user, property := *p.User, m.platform.Prefix+phoneVerified
	if !setPhone(&user, property, phone) {
		return nil
	}
	user.UpdatedTime = s.stamp()
	next := &Principal{
		User: &user, ClientIP: p.ClientIP, properties: map[string]string{property: user.Properties[property]},
	}
	if err := s.directory.update(ctx, next, []string{"phone", "country_code", "properties", "updated_time"}); err != nil {
		return err
	}
	*p.User = user
	return nil
}

// setPhone reports whether it has changed anything.
func setPhone(user *sdk.User, property string, phone provider.Phone) bool {
	full, region := "+"+phone.CountryCode+phone.Number, regionOf(phone)
	if user.Phone == phone.Number && user.CountryCode == region && user.Properties[property] == full {
		return false
	}
	user.Phone, user.CountryCode = phone.Number, region
	user.Properties = withProperties(user.Properties, map[string]string{property: full})
	return true
}

// withProperties returns properties with some that are new or different.
func withProperties(properties, changed map[string]string) map[string]string {
	all := maps.Clone(properties)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, changed)
	return all
}

// regionOf returns the region of a number as Casdoor has it in countryCode, such as "CN". Where several regions share a
// calling code the number decides or, when it is not known whose it is, the largest of them. A calling code of no
// region is "".
func regionOf(phone provider.Phone) string {
	const none, global = "ZZ", "001"
	number, err := phonenumbers.Parse("+"+phone.CountryCode+phone.Number, "")
	if err != nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(number)
	if region == "" || region == none {
		region = phonenumbers.GetRegionCodeForCountryCode(int(number.GetCountryCode()))
	}
	if region == none || region == global {
		return ""
	}
	return region
}
