// The lists of products on a live's page: what is pinned with what it brought since, and what sells.

import { at, keyed, make, pairs, present, show } from "./dom.js";
import { duration, isKnown, money } from "./format.js";
import { isShort, stockSign, stockState, stockWords } from "./stock.js";

/** Shows the pinned products of a live (null: not known). */
export function showPinned(pinned, teller, nowMs) {
  list("pinned", pinned, teller.none(pinned, "Nothing is pinned."), (product) => ({
    tag: `pinned for ${duration(nowMs - product.since_ms)}`,
    price: priceOf(product, teller),
    figures: figures(product, teller),
  }));
}

/** Shows the best-selling products of a live (null: not known). */
export function showProducts(products, teller) {
  list("products", products, teller.none(products, "Nothing was sold yet."), (product) => ({
    tag: isKnown(product.pinned_since_ms) ? "pinned" : "",
    price: priceOf(product, teller),
    figures: figures(product, teller),
  }));
}

/** Of the shown products those that run short, in a sentence; "" where none does. */
export function shortWords(products) {
  return products.filter((product) => isShort(product.stock))
    .map((product) => `${nameOf(product)}: ${stockWords(product.stock)}.`).join(" ");
}

const nameOf = (product) => product.title || product.product_id;

// In streamer mode no amount is text of the page, prices neither.
const priceOf = (product, teller) =>
  product.currency && !teller.hideMoney ? money(product.unit_price_minor, product.currency) : "";

function figures(product, teller) {
  const money = teller.hideMoney ? [] : [["Sales", teller.amounts(product.gmv_paid_minor)]];
  return [
    ...money,
    ["Orders", teller.count(product.orders)],
    ["Taps", teller.count(product.tag_taps)],
    ["In carts", teller.count(product.add_to_carts)],
  ];
}

function list(id, products, none, describe) {
  present(`${id}-none`, !products?.length);
  show(`${id}-none`, none);
  keyed(at(id), products ?? [], (product) => product.product_id, create, (node, product) => {
    const { tag, price, figures: shown } = describe(product);
    const [title, stock, table] = node.children;
    show(title.firstChild, nameOf(product));
    show(title.children[1], price);
    show(title.lastChild, tag);
    title.lastChild.hidden = tag === "";
    stock.dataset.state = stockState(product.stock);
    show(stock.firstChild, stockSign(product.stock));
    show(stock.lastChild, stockWords(product.stock));
    pairs(table, shown);
  });
}

function create() {
  const title = make("h3", {}, make("span"), " ", make("span", { class: "price" }), " ", make("span", { class: "tag" }));
  const stock = make("p", { class: "stock" }, make("span", { "aria-hidden": "true" }), " ", make("span"));
  return make("li", { class: "card" }, title, stock, make("dl", { class: "figures" }));
}
