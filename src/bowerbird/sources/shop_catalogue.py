"""The words of the simulated shop: its shelves, and how an item comes by its title and description.

Shelves stand in pairs: 0 and 1, 2 and 3 and so on complement each other (coffee and coffee makers). A shelf has one
quality for each style, so a title tells the style as well as the shelf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STYLES: Final = ("Nordic", "country", "classic", "modern", "bohemian", "coastal")


@dataclass(frozen=True)
class Shelf:
    """A leaf of the category tree; ``price`` is the median, ``peak`` the day of the year with the highest demand."""

    path: tuple[str, ...]
    price: float
    is_consumable: bool
    peak: int
    nouns: tuple[str, ...]
    qualities: tuple[str, ...]
    variants: tuple[str, ...]


SIZES: Final = "small|medium|large|extra large|gift box"
SETS: Final = "single|pair|set of four|set of six|gift box"
WEIGHTS: Final = "125 g|250 g|500 g|1 kg|gift tin"
VOLUMES: Final = "100 ml|250 ml|500 ml|1 litre|refill"
COLOURS: Final = "cream|forest green|ink blue|terracotta|charcoal"
NEW_YEAR, SPRING, SUMMER, AUTUMN, CHRISTMAS = 15, 110, 175, 285, 345

# path; median price; consumable or durable; peak; nouns; qualities in the order of STYLES; variants
_SHELVES: Final[tuple[tuple[str, float, str, int, str, str, str], ...]] = (
    ("Kitchen>Serving>Boards and platters", 24.0, "durable", CHRISTMAS,
     "serving board|cheese board|bread board|platter|tapas tray", "Birch|Oak|Walnut|Slate|Mango wood|Driftwood", SIZES),
    ("Kitchen>Tools>Knives", 32.0, "durable", CHRISTMAS,
     "paring knife|cheese knife|bread knife|chef's knife|cleaver", "Ash-handled|Forged|Damascus|Ceramic|Carved|Steel", SETS),
    ("Kitchen>Cooking>Pots and pans", 45.0, "durable", AUTUMN,
     "frying pan|saucepan|casserole|sauté pan|stockpot", "Enamel|Cast-iron|Copper|Stainless|Terracotta|Aluminium", SIZES),
    ("Kitchen>Cooking>Spoons and spatulas", 9.0, "durable", AUTUMN,
     "wooden spoon|spatula|ladle|whisk|turner", "Beech|Maple|Rosewood|Silicone|Olive wood|Bamboo", SETS),
    ("Kitchen>Baking>Tins and moulds", 15.0, "durable", CHRISTMAS,
     "loaf tin|cake tin|muffin tray|tart mould|baking sheet", "Non-stick|Enamelled|Tinplate|Silicone|Fluted|Springform", SIZES),
    ("Pantry>Baking>Flour and sugar", 4.5, "consumable", CHRISTMAS,
     "bread flour|cake flour|cane sugar|icing sugar|baking mix", "Rye|Stone-ground|Fine|Gluten-free|Coconut|Sea-salted", WEIGHTS),
    ("Coffee and tea>Coffee>Beans", 11.0, "consumable", NEW_YEAR,
     "espresso beans|filter beans|ground coffee|breakfast roast|decaf beans",
     "Light-roast|House|Italian|Single-origin|Ethiopian|Sumatran", WEIGHTS),
    ("Coffee and tea>Coffee>Makers", 39.0, "durable", CHRISTMAS,
     "moka pot|French press|pour-over dripper|coffee grinder|milk frother", "White|Enamel|Brass|Matt black|Copper|Glass", SIZES),
    ("Coffee and tea>Tea>Loose tea", 8.5, "consumable", AUTUMN,
     "black tea|green tea|herbal tea|breakfast tea|chai", "Birch-leaf|Garden mint|Earl Grey|Matcha|Jasmine|Seaweed", WEIGHTS),
    ("Coffee and tea>Tea>Teapots and cups", 27.0, "durable", AUTUMN,
     "teapot|tea cup|tea strainer|tea tray|mug", "Stoneware|Spotted|Bone china|Glass|Painted|Blue-glazed", SETS),
    ("Pantry>Savoury>Pasta and grains", 4.0, "consumable", AUTUMN,
     "spaghetti|penne|risotto rice|pearl barley|couscous", "Spelt|Farmhouse|Durum|Wholegrain|Saffron|Squid-ink", WEIGHTS),
    ("Pantry>Savoury>Oils and sauces", 9.5, "consumable", SUMMER,
     "olive oil|pasta sauce|pesto|vinegar|chilli oil", "Dill|Garden tomato|Tuscan|Truffle|Harissa|Lemon", VOLUMES),
    ("Pantry>Sweet>Chocolate", 5.5, "consumable", CHRISTMAS,
     "chocolate bar|truffles|hot chocolate|pralines|chocolate buttons",
     "Sea-buckthorn|Hazelnut|Dark|Salted caramel|Cardamom|Orange", WEIGHTS),
    ("Pantry>Sweet>Jam and honey", 6.5, "consumable", SUMMER,
     "jam|honey|marmalade|fruit spread|lemon curd", "Cloudberry|Strawberry|Seville|Raspberry|Fig|Heather", WEIGHTS),
    ("Home>Living>Cushions", 29.0, "durable", AUTUMN,
     "cushion|floor cushion|bolster|cushion cover|bench pad", "Wool|Gingham|Velvet|Linen|Kilim|Striped", COLOURS),
    ("Home>Living>Throws and blankets", 55.0, "durable", CHRISTMAS,
     "throw|blanket|quilt|bedspread|picnic rug", "Lambswool|Patchwork|Cashmere|Waffle|Fringed|Cotton", COLOURS),
    ("Home>Light>Candles", 14.0, "consumable", CHRISTMAS,
     "scented candle|pillar candle|dinner candle|tea lights|wax melts", "Pine|Lavender|Beeswax|Amber|Patchouli|Sea salt", SETS),
    ("Home>Light>Holders and lanterns", 22.0, "durable", CHRISTMAS,
     "candle holder|lantern|tea-light holder|candelabra|hurricane lamp", "Birch|Zinc|Brass|Concrete|Moroccan|Rope", SIZES),
    ("Home>Walls>Frames", 18.0, "durable", NEW_YEAR,
     "picture frame|photo frame|poster hanger|box frame|gallery frame", "Pine|Distressed|Gilt|Black|Carved|White-washed", SIZES),
    ("Home>Walls>Prints", 25.0, "durable", NEW_YEAR,
     "art print|botanical print|map print|poster|typographic print", "Fjord|Meadow|Engraved|Abstract|Mandala|Lighthouse", SIZES),
    ("Garden>Growing>Pots and planters", 19.0, "durable", SPRING,
     "planter|flower pot|hanging basket|window box|plant stand", "Concrete|Terracotta|Lead-look|Steel|Woven|Zinc", SIZES),
    ("Garden>Growing>Seeds and feed", 4.0, "consumable", SPRING,
     "wildflower seeds|herb seeds|tomato seeds|plant food|bulbs", "Hardy|Cottage|Heritage|Organic|Exotic|Dune", SETS),
    ("Garden>Outdoors>Picnic and barbecue", 34.0, "durable", SUMMER,
     "picnic basket|barbecue set|cool bag|enamel plate|drinks dispenser", "Canvas|Wicker|Leather|Steel|Printed|Striped", SIZES),
    ("Garden>Outdoors>Garden lights", 21.0, "durable", SUMMER,
     "string lights|solar lantern|garden torch|fairy lights|path light", "Paper|Rustic|Bronze|LED|Rattan|Nautical", SETS),
    ("Bath>Body>Soap", 6.0, "consumable", NEW_YEAR,
     "soap bar|hand wash|shower gel|bath salts|body scrub", "Birch tar|Oatmeal|Rose|Charcoal|Sandalwood|Kelp", SETS),
    ("Bath>Linen>Towels", 23.0, "durable", NEW_YEAR,
     "hand towel|bath towel|bath mat|face cloth|bathrobe", "Waffle|Gingham|Egyptian cotton|Bamboo|Hammam|Striped", COLOURS),
    ("Bath>Hair and skin>Care", 13.0, "consumable", SUMMER,
     "shampoo|conditioner|hand cream|face oil|body lotion", "Arctic|Chamomile|Almond|Aloe|Argan|Algae", VOLUMES),
    ("Bath>Hair and skin>Brushes and bags", 17.0, "durable", SUMMER,
     "hair brush|wash bag|make-up pouch|nail brush|comb", "Beech|Floral|Pearwood|Nylon|Embroidered|Sailcloth", COLOURS),
    ("Stationery>Paper>Notebooks", 12.0, "durable", NEW_YEAR,
     "notebook|diary|sketchbook|planner|address book", "Recycled|Floral|Leather|Dotted|Hand-bound|Waterproof", COLOURS),
    ("Stationery>Writing>Pens and ink", 10.0, "consumable", NEW_YEAR,
     "fountain pen ink|gel pens|pencils|fineliners|brush pens", "Graphite|Pastel|Royal|Neon|Metallic|Navy", SETS),
    ("Stationery>Gifts>Cards", 3.5, "consumable", CHRISTMAS,
     "birthday card|thank-you card|greeting card|postcard|gift tag", "Letterpress|Painted|Engraved|Graphic|Foiled|Seaside", SETS),
    ("Stationery>Gifts>Wrapping", 5.0, "consumable", CHRISTMAS,
     "wrapping paper|gift bag|ribbon|washi tape|tissue paper", "Kraft|Gingham|Tartan|Geometric|Block-printed|Anchor", SETS),
    ("Pets>Dogs>Food and treats", 15.0, "consumable", NEW_YEAR,
     "dry dog food|dog biscuits|dental chews|training treats|puppy food", "Elk|Chicken|Beef|Grain-free|Lamb|Salmon", WEIGHTS),
    ("Pets>Dogs>Leads and beds", 33.0, "durable", NEW_YEAR,
     "dog lead|dog bed|collar|food bowl|dog coat", "Felt|Tweed|Leather|Reflective|Woven|Rope", SIZES),
    ("Pets>Cats>Food and litter", 12.0, "consumable", NEW_YEAR,
     "dry cat food|cat treats|wet cat food|cat litter|kitten food", "Herring|Turkey|Chicken|Grain-free|Duck|Tuna", WEIGHTS),
    ("Pets>Cats>Toys and scratchers", 16.0, "durable", NEW_YEAR,
     "scratching post|catnip mouse|feather wand|cat tunnel|cat cave", "Felt|Wicker|Sisal|Cardboard|Tasselled|Driftwood", SIZES),
)  # fmt: skip
SHELVES: Final = tuple(
    Shelf(
        tuple(path.split(">")), price, kind == "consumable", peak,
        tuple(nouns.split("|")), tuple(qualities.split("|")), tuple(variants.split("|")),
    )
    for path, price, kind, peak, nouns, qualities, variants in _SHELVES
)  # fmt: skip

_PRAISE: Final = (
    "Made in small batches",
    "Chosen by our buyers for every day",
    "A favourite of our regular customers",
    "From a family workshop that we have known for years",
    "Packed without plastic",
    "Good to give, better to keep",
)


def describe(shelf: Shelf, style: int, place: int) -> tuple[str, str]:
    """Return title and description of the ``place``-th item of a shelf in one style; titles differ from place to place."""
    noun, variant = shelf.nouns[place % 5], shelf.variants[place // 5 % 5]
    series = f", series {place // 25 + 1}" if place >= 25 else ""
    title = f"{shelf.qualities[style]} {noun}, {variant}{series}"
    praise = _PRAISE[(place * 7 + style) % len(_PRAISE)]
    return title, f"{title} from our {STYLES[style]} range of {shelf.path[-1].lower()}. {praise}."
