// The server writes PRODUCT_NAME into the page.
export const productName = document.querySelector('meta[name="application-name"]').content;
