"""The models of this system by name: `vae.model` in `VAES`, `gan.model` in `GANS`."""

from dancing.noise_to_image.conv_vae import ConvVae, ConvVaeConfig
from dancing.noise_to_image.dcgan import DcganConfig, DcganGenerator, dcgan_discriminator
from dancing.noise_to_image.digits_gan import DigitsGanConfig, DigitsGenerator, digits_discriminator
from dancing.noise_to_image.vae_gan import VaeCritic, VaeGanConfig, VaeGenerator
from dancing.training.registry import Registry

VAES = Registry({"conv": (ConvVaeConfig, ConvVae)})
#: A generator's config has `noise` and `categories`, the size and the categories of `noise.draw_noise`.
GANS = Registry(
    {
        "dcgan": (DcganConfig, DcganGenerator, dcgan_discriminator),
        "digits": (DigitsGanConfig, DigitsGenerator, digits_discriminator),
        "vae": (VaeGanConfig, VaeGenerator, VaeCritic),
    }
)
